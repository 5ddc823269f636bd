"""Long work shares the event loop with requests and with other long work.

Each of these faults, put into the code on purpose, made a test fail: all long work continues in the next round;
cancelled work gets the next turn, and then no other work does; no pause between slices; the same pause after
every slice; the long pause although no small request is in progress.
"""

import asyncio
import time
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter

import pytest

from app.event_loop import PAUSE_PER_WORK, SMALL_REQUESTS, TimeSlice

WORKERS = 8
PIECES = 5  # of long work: one in each slice
MEASURABLE_PAUSE = 0.01  # seconds between two slices
WORK = 0.005  # seconds of work in each slice of `Slices`


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """End a slice after each piece of work, and continue without a pause."""
    monkeypatch.setattr("app.event_loop.SLICE", 0)
    monkeypatch.setattr("app.event_loop.PAUSE", 0)


async def work(number: int, done: list[int]) -> None:
    """Append the number to `done` for each piece of long work."""
    turns = TimeSlice()
    await turns.wait()
    for _ in range(PIECES):
        done.append(number)
        await turns.yield_to_others()


async def test_each_round_of_the_event_loop_runs_one_slice_of_long_work() -> None:
    done: list[int] = []
    working = asyncio.gather(*(work(number, done) for number in range(WORKERS)))

    by_round = []
    while not working.done():
        before = len(done)
        await asyncio.sleep(0)
        by_round.append(len(done) - before)

    assert max(by_round) == 1
    assert done == [*range(WORKERS)] * PIECES  # in turns


async def test_long_work_pauses_after_each_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.event_loop.PAUSE", MEASURABLE_PAUSE)
    began = time.monotonic()

    await asyncio.gather(work(1, []), work(2, []))

    assert time.monotonic() - began >= 2 * PIECES * MEASURABLE_PAUSE


async def test_long_work_that_is_cancelled_while_it_waits_delays_nobody() -> None:
    done: list[int] = []
    working = [asyncio.create_task(work(number, done)) for number in range(3)]
    await asyncio.sleep(0)

    working[1].cancel()
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*working, return_exceptions=True)

    assert [type(one) for one in ended] == [type(None), asyncio.CancelledError, type(None)]
    assert done == [0, 2] * PIECES


def test_each_event_loop_has_its_own_queue_of_long_work() -> None:
    async def leave_in_the_middle() -> None:
        asyncio.create_task(work(1, []))  # noqa: RUF006 - nobody waits for it
        await asyncio.sleep(0)

    done: list[int] = []
    asyncio.run(leave_in_the_middle())
    asyncio.run(work(2, done))

    assert done == [2] * PIECES


@dataclass
class Slices:
    """When each slice of some work began and ended."""

    times: list[tuple[float, float]] = field(default_factory=list)

    async def work(self) -> None:
        turns = TimeSlice()
        await turns.wait()
        for _ in range(3):
            began = perf_counter()
            while perf_counter() - began < WORK:
                pass
            self.times.append((began, perf_counter()))
            await turns.yield_to_others()

    @property
    def pauses(self) -> list[float]:
        """Each pause, divided by the length of the slice before it."""
        return [(after - ended) / (ended - began) for (began, ended), (after, _) in pairwise(self.times)]


async def test_while_a_small_request_is_in_progress_the_loop_is_free_three_times_as_long_as_each_slice_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SMALL_REQUESTS, "count", 1)
    slices = Slices()

    await asyncio.gather(slices.work(), slices.work())

    assert min(slices.pauses) >= PAUSE_PER_WORK


async def test_without_small_requests_long_work_continues_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.event_loop.PAUSE_PER_WORK", 10_000)
    monkeypatch.setattr(SMALL_REQUESTS, "count", 0)  # earlier tests may have left another number

    async with asyncio.timeout(5):
        await Slices().work()
