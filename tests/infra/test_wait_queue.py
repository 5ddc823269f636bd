"""The queue for a pool without a free connection.

Each of these faults, put into the code on purpose, made a test fail: the length is ignored; no request waits; a
wait ends while connections are being opened; a cancelled turn stays in the queue; the newest turn is served first.
"""

import asyncio
from unittest.mock import sentinel

import pytest

from app.infra.postgres.wait_queue import PoolExhausted, Turn, WaitQueue

CONNECTION: "object" = sentinel.connection


def queue(length: int = 5, *, opening: bool = False) -> WaitQueue:
    """Make a queue; `opening`: connections are being opened."""
    return WaitQueue(length, lambda: opening)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests wait for 0.05 seconds."""
    monkeypatch.setattr("app.infra.postgres.wait_queue.PATIENCE", 0.05)


async def test_waiters_are_served_in_order_of_arrival() -> None:
    waiting = queue()
    first, second = waiting.join(), waiting.join()

    assert waiting.serve(CONNECTION)  # type: ignore[arg-type]  # in place of a connection

    assert (first.done(), second.done()) == (True, False)
    assert first.result() is CONNECTION


async def test_a_request_with_a_delay_goes_after_those_that_join_within_the_delay_and_before_later_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = queue()
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    delayed = waiting.join(1.0)
    now += 0.9
    within = waiting.join()
    now += 0.2
    after = waiting.join()

    assert [serve_one(waiting, [delayed, within, after]) for _ in range(3)] == [within, delayed, after]


async def test_a_cancelled_request_gives_its_turn_to_the_next() -> None:
    waiting = queue()
    delayed, first, cancelled = waiting.join(0.5), waiting.join(), waiting.join()
    waiting.leave(first)
    cancelled.cancel()

    assert waiting.serve(None)

    assert (delayed.done(), first.done(), len(waiting)) == (True, False, 0)
    assert not waiting.serve(None)


async def test_serving_an_empty_queue_does_nothing() -> None:
    assert not queue().serve(CONNECTION)  # type: ignore[arg-type]  # in place of a connection


async def test_a_full_queue_refuses_at_once() -> None:
    waiting = queue(2)
    waiting.join()
    waiting.join()

    with pytest.raises(PoolExhausted):
        waiting.join()


async def test_a_waiter_past_its_time_is_refused_and_leaves_its_place() -> None:
    waiting = queue(1)

    with pytest.raises(PoolExhausted):
        await waiting.join()

    assert len(waiting) == 0
    waiting.join()


async def test_nobody_is_refused_while_connections_are_being_opened() -> None:
    waiting = queue(opening=True)
    turn = waiting.join()

    await asyncio.sleep(0.2)

    assert (turn.done(), len(waiting)) == (False, 1)
    assert waiting.serve(None)


async def test_a_cancelled_waiter_is_not_served() -> None:
    waiting = queue()
    gone, there = waiting.join(), waiting.join()
    gone.cancel()

    waiting.serve(None)

    assert there.done()


async def test_in_a_full_queue_a_newcomer_replaces_the_youngest_request_with_the_longest_delay() -> None:
    waiting = queue(4)
    first, fourth, third, fourth_too = (waiting.join(delay) for delay in (0, 0.75, 0.5, 0.75))

    newcomer = waiting.join()

    with pytest.raises(PoolExhausted):
        await fourth_too
    assert len(waiting) == 4
    assert [turn.done() for turn in (first, fourth, third, newcomer)] == [False] * 4
    assert [serve_one(waiting, [first, fourth, third, newcomer]) for _ in range(4)] == [
        first,
        newcomer,
        third,
        fourth,
    ]


@pytest.mark.parametrize("delay", [0.5, 0.75])
async def test_given_a_full_queue_then_a_newcomer_with_the_longest_delay_is_refused_and_nobody_else(
    delay: float,
) -> None:
    waiting = queue(2)
    turns = [waiting.join(), waiting.join(0.5)]

    with pytest.raises(PoolExhausted):
        waiting.join(delay)

    assert [turn.done() for turn in turns] == [False, False]
    assert len(waiting) == 2


async def test_given_a_full_queue_and_a_request_that_gave_up_then_its_place_is_taken() -> None:
    waiting = queue(1)
    waiting.join(0.5).cancel()

    newcomer = waiting.join()

    assert (len(waiting), serve_one(waiting, [newcomer])) == (1, newcomer)


async def test_a_request_that_lost_its_place_does_not_remove_the_newcomer_from_the_queue() -> None:
    waiting = queue(1)
    second = waiting.join(0.5)
    newcomer = waiting.join()

    waiting.leave(second)  # its caller stops waiting

    assert len(waiting) == 1
    with pytest.raises(PoolExhausted):
        await second
    with pytest.raises(PoolExhausted):
        await newcomer  # when its own time is over
    assert len(waiting) == 0


def serve_one(waiting: WaitQueue, turns: list[Turn]) -> Turn:
    """Serve one of these requests, and return it."""
    before = [turn for turn in turns if not turn.done()]
    assert waiting.serve(None)
    [served] = [turn for turn in before if turn.done()]
    return served
