"""The limit on the concurrent statements of one person."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import TooManyAtOnce
from app.domain.identity import UserId
from app.infra.postgres import owner_session
from app.infra.postgres.owner_session import WAITING_PER_RUNNING, PersonConcurrency

ANN, BOB = UserId("ann"), UserId("bob")
FAR = 1e9  # seconds: a deadline that no test reaches


def test_one_person_runs_statements_up_to_the_limit_and_delays_nobody_else() -> None:
    limit = PersonConcurrency(2)

    async def start_three() -> list[bool]:
        return [limit.start(person) is None for person in (ANN, ANN, ANN, BOB)]

    assert asyncio.run(start_three()) == [True, True, False, True]


async def test_the_queue_is_first_in_first_out_and_refuses_beyond_its_length() -> None:
    limit = PersonConcurrency(1)
    assert limit.start(ANN) is None
    turns = [limit.start(ANN) for _ in range(WAITING_PER_RUNNING)]

    with pytest.raises(TooManyAtOnce):
        limit.start(ANN)
    limit.finish(ANN)

    may_run = [turn is not None and turn.done() for turn in turns]
    assert may_run == [True] + [False] * (WAITING_PER_RUNNING - 1)


async def test_a_waiter_past_its_time_is_refused_and_leaves_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner_session, "PATIENCE", 0.01)
    limit = PersonConcurrency(1)
    limit.start(ANN)
    turn = limit.start(ANN)
    assert turn is not None

    with pytest.raises(TooManyAtOnce):
        await limit.wait(ANN, turn, FAR)
    limit.finish(ANN)

    assert len(limit) == 0


async def test_a_turn_for_a_waiter_that_is_just_cancelled_goes_to_the_next_one() -> None:
    limit = PersonConcurrency(1)
    limit.start(ANN)
    first, second = limit.start(ANN), limit.start(ANN)
    assert first is not None
    assert second is not None
    waiting = asyncio.create_task(limit.wait(ANN, first, FAR))
    await asyncio.sleep(0)

    limit.finish(ANN)
    waiting.cancel()
    await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert second.done()


STEPS = st.lists(st.tuples(st.sampled_from([ANN, BOB]), st.floats(0, 0.002), st.booleans()), max_size=40)


@given(STEPS, st.integers(1, 4))
def test_any_order_of_starts_and_cancellations_stays_within_the_limit_and_leaves_no_entry(
    steps: list[tuple[UserId, float, bool]], at_most: int
) -> None:
    limit = PersonConcurrency(at_most)
    running = {ANN: 0, BOB: 0}
    most = 0

    async def statement(person: UserId, seconds: float) -> None:
        nonlocal most
        if (turn := limit.start(person)) is not None:
            await limit.wait(person, turn, FAR)
        running[person] += 1
        most = max(most, running[person])
        try:
            await asyncio.sleep(seconds)
        finally:
            running[person] -= 1
            limit.finish(person)

    async def all_of_them() -> None:
        tasks = []
        for person, seconds, gives_up in steps:
            tasks.append(task := asyncio.create_task(statement(person, seconds)))
            await asyncio.sleep(0)
            if gives_up:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(all_of_them())

    assert most <= at_most
    assert len(limit) == 0
    assert not limit._queues


async def test_cancelled_waiters_free_their_places_in_the_queue() -> None:
    concurrency = PersonConcurrency(1)
    assert concurrency.start(ANN) is None
    turns = [concurrency.start(ANN) for _ in range(WAITING_PER_RUNNING)]
    waits = [asyncio.ensure_future(concurrency.wait(ANN, turn, FAR)) for turn in turns if turn is not None]
    await asyncio.sleep(0)

    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)

    assert concurrency.start(ANN) is not None  # it waits, and is not refused
