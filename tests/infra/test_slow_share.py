"""The share of the connections that slow statements may take."""

import asyncio
from contextlib import suppress

import pytest

from app.domain.errors import TooManySearches
from app.domain.identity import UserId
from app.infra.postgres.slow_share import HALF_LIFE, PEOPLE_MAX, QUEUE, SlowShare
from tests.support.factories import someone

ANN, BOB = someone("ann"), someone("bob")


class Statement:
    """A slow statement of a person, which runs until `end`."""

    def __init__(self, share: SlowShare, person: UserId, *, rank: int = 1, seconds: float = 60) -> None:
        self.runs = False
        self._end = asyncio.Event()
        until = asyncio.get_running_loop().time() + seconds
        self.task = asyncio.create_task(self._run(share, person, rank, until))

    async def _run(self, share: SlowShare, person: UserId, rank: int, until: float) -> None:
        async with share.turn(person, rank=rank, until=until):
            self.runs = True
            await self._end.wait()

    async def end(self) -> None:
        self._end.set()
        await self.task
        await settle()


async def settle() -> None:
    """Let every task do what it can do now."""
    for _ in range(10):
        await asyncio.sleep(0)


def took(share: SlowShare, person: UserId, seconds: float, *, ago: float = 0) -> None:
    """Let a person have taken some seconds of the share, some time ago."""
    now = asyncio.get_running_loop().time() - ago
    share._remember(person, now - seconds, now)


async def test_as_many_run_as_the_share_has_and_the_next_one_runs_when_one_ends() -> None:
    share = SlowShare(2)
    statements = [Statement(share, someone()) for _ in range(3)]
    await settle()
    before = [each.runs for each in statements]

    await statements[0].end()

    assert before == [True, True, False]
    assert statements[2].runs
    assert len(share) == 0


async def test_after_all_ended_as_many_may_run_as_before() -> None:
    share = SlowShare(1)
    for _ in range(3):
        statements = [Statement(share, someone()) for _ in range(3)]
        await settle()
        assert [each.runs for each in statements] == [True, False, False]
        for each in statements:
            await each.end()


async def test_a_first_statement_goes_before_anybodys_second() -> None:
    share = SlowShare(1)
    running = Statement(share, ANN)
    second, first = Statement(share, ANN, rank=2), Statement(share, BOB)
    await settle()

    await running.end()

    assert (second.runs, first.runs) == (False, True)
    await first.end()
    await second.end()


async def test_somebody_who_took_seconds_of_the_share_goes_after_somebody_who_took_none() -> None:
    share = SlowShare(1)
    took(share, ANN, 2)
    running = Statement(share, someone())
    slow, quick = Statement(share, ANN), Statement(share, BOB)
    await settle()

    await running.end()

    assert (slow.runs, quick.runs) == (False, True)
    await quick.end()
    assert slow.runs
    await slow.end()


async def test_the_time_of_a_statement_in_the_share_counts_and_that_of_waiting_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = asyncio.get_running_loop().time
    ahead = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock() + ahead)
    share = SlowShare(1)
    running, waiting = Statement(share, ANN), Statement(share, BOB)
    await settle()

    ahead = 10.0
    await running.end()
    ahead = 15.0
    await waiting.end()

    assert [round(share._taken[person][0]) for person in (ANN, BOB)] == [10, 5]


async def test_what_somebody_took_is_forgotten_after_some_minutes() -> None:
    share = SlowShare(1)
    took(share, ANN, 60, ago=10 * HALF_LIFE)
    running = Statement(share, someone())
    earlier, later = Statement(share, ANN), Statement(share, BOB)
    await settle()

    await running.end()

    assert (earlier.runs, later.runs) == (True, False)
    await earlier.end()
    await later.end()


async def test_people_with_quick_statements_are_not_remembered_and_others_up_to_a_number() -> None:
    share = SlowShare(1)
    quick = Statement(share, ANN)
    await settle()
    await quick.end()
    assert not share._taken

    for _ in range(PEOPLE_MAX + 1):
        took(share, someone(), 1)

    assert len(share._taken) == PEOPLE_MAX


async def test_a_statement_that_waits_past_its_deadline_is_refused_and_leaves_its_place() -> None:
    share = SlowShare(1)
    running, late = Statement(share, ANN), Statement(share, BOB, seconds=0.01)

    with pytest.raises(TooManySearches):
        await late.task

    assert len(share) == 0
    await running.end()
    after = Statement(share, BOB)
    await settle()
    assert after.runs
    await after.end()


async def test_a_statement_waits_longer_than_a_request_waits_for_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.infra.postgres.wait_queue.PATIENCE", 0.01)
    share = SlowShare(1)
    running, waiting = Statement(share, ANN), Statement(share, BOB)
    await asyncio.sleep(0.05)

    await running.end()

    assert waiting.runs
    await waiting.end()


async def test_given_a_full_queue_then_a_newcomer_of_the_highest_rank_is_refused() -> None:
    share = SlowShare(1)
    running = Statement(share, ANN)
    waiting = [Statement(share, someone()) for _ in range(QUEUE)]
    await settle()

    with pytest.raises(TooManySearches):
        await Statement(share, BOB).task

    await running.end()
    for each in waiting:
        await each.end()


async def test_a_caller_who_gives_up_at_the_moment_of_its_turn_passes_the_turn_on() -> None:
    share = SlowShare(1)
    async with share.turn(ANN, rank=1, until=asyncio.get_running_loop().time() + 60):
        gone, waiting = (Statement(share, someone()) for _ in range(2))
        await settle()
    gone.task.cancel()

    with suppress(asyncio.CancelledError):
        await gone.task
    await settle()

    assert (gone.runs, waiting.runs) == (False, True)
    await waiting.end()
