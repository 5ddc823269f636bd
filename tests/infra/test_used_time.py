"""The time that each person's statements used a connection, and the delay of their next statement."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from app.domain.errors import SearchTooSlow
from app.domain.identity import UserId
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import DeadlineSession, PersonConcurrency
from app.infra.postgres.used_time import DELAY_MAX, HALF_LIFE, PEOPLE_MAX, PER_STATEMENT, UsedTime
from app.infra.postgres.wait_queue import Turn, WaitQueue
from app.infra.statements.owner_scope import Statement
from app.settings.database_address import DatabaseAddress
from tests.support.factories import someone

ANN, BOB = someone("ann"), someone("bob")


class Clock:
    """The loop's clock, set by a test."""

    now = 1000.0  # seconds


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let the event loop read this clock."""
    clock = Clock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock.now)
    return clock


async def test_the_time_of_each_statement_is_added_for_its_person_alone(clock: Clock) -> None:
    used_time = UsedTime()

    used_time.add(ANN, 2)
    used_time.add(ANN, 3)

    assert (used_time.seconds(ANN), used_time.seconds(BOB)) == (5, 0)


async def test_half_of_the_time_is_forgotten_after_the_half_life(clock: Clock) -> None:
    used_time = UsedTime()
    used_time.add(ANN, 8)
    clock.now += HALF_LIFE
    half = used_time.seconds(ANN)
    used_time.add(ANN, 2)
    clock.now += HALF_LIFE

    assert (half, used_time.seconds(ANN)) == (4, 3)


async def test_of_more_people_than_are_remembered_the_one_whose_last_statement_is_oldest_is_forgotten(
    clock: Clock,
) -> None:
    used_time = UsedTime()
    for person in [ANN, BOB, *(someone() for _ in range(PEOPLE_MAX - 2)), ANN, someone()]:
        used_time.add(person, 1)

    assert len(used_time) == PEOPLE_MAX
    assert (used_time.seconds(ANN), used_time.seconds(BOB)) == (2, 0)


async def test_running_statements_and_used_seconds_delay_the_next_statement_up_to_a_maximum(
    clock: Clock,
) -> None:
    used_time = UsedTime()
    used_time.add(ANN, 2)

    delays = [
        used_time.delay(BOB, 0),
        used_time.delay(BOB, 1),
        used_time.delay(ANN, 0),
        used_time.delay(ANN, 1),
    ]

    assert delays == [0, 0.3, 0.2, 0.5]
    used_time.add(ANN, 1000)
    assert used_time.delay(ANN, 3) == used_time.delay(BOB, 99) == DELAY_MAX


SLEEP = 0.1  # seconds
SLOW = Statement("SELECT pg_sleep(0.1)", ())
BEYOND_ITS_BUDGET = Statement("SELECT pg_sleep(60)", (), budget=SLEEP)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with one connection."""
    database = Database(DatabaseAddress.parse(database_url), pool_size=1)
    await database.open()
    yield database
    await database.close()


@pytest.mark.server
async def test_the_time_of_a_statement_counts_and_the_wait_for_its_connection_does_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: dict[str, float] = {}  # seconds that are added for each person
    monkeypatch.setattr(database._used_time, "add", used.__setitem__)
    began = asyncio.get_running_loop().time()

    await asyncio.gather(*(database.fetch(SLOW, {}, person=person) for person in (ANN, BOB)))

    assert min(used.values()) >= SLEEP * 0.9
    assert used[ANN] + used[BOB] <= asyncio.get_running_loop().time() - began


@pytest.mark.server
async def test_quick_statements_do_not_count(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.infra.postgres.database.USED_TIME_MIN", 60)

    await database.fetch(SLOW, {}, person=ANN)

    assert len(database._used_time) == 0


@pytest.mark.server
async def test_the_time_of_a_cancelled_statement_and_of_a_transaction_counts(
    database: Database,
) -> None:
    with pytest.raises(SearchTooSlow):
        await database.fetch(BEYOND_ITS_BUDGET, {}, person=ANN)
    async with database.transaction(person=BOB) as transaction:
        await transaction.fetch(SLOW, {})

    assert database._used_time.seconds(ANN) >= SLEEP / 2
    assert database._used_time.seconds(BOB) >= SLEEP / 2


@pytest.mark.server
async def test_somebody_whose_statements_are_slow_waits_longer_for_a_connection(database: Database) -> None:
    database._used_time.add(ANN, 10)
    order: list[str] = []

    async def run(person: UserId, *, transaction: bool) -> None:
        if transaction:
            async with database.transaction(person=person) as opened:
                await opened.fetch(SLOW, {})
        else:
            await database.fetch(SLOW, {}, person=person)
        order.append(person)

    holding = asyncio.create_task(database.fetch(SLOW, {}, person=someone()))
    await asyncio.sleep(0)  # it takes the connection
    await asyncio.gather(
        *(run(person, transaction=transaction) for transaction in (False, True) for person in (ANN, BOB)),
        holding,
    )

    assert order == [BOB, BOB, ANN, ANN]


async def run_one(session: DeadlineSession) -> None:
    await session.fetch(SLOW, {})


async def run_with_a_time_budget(session: DeadlineSession) -> None:
    await session.fetch(replace(SLOW, budget=60), {})


async def run_in_a_transaction(session: DeadlineSession) -> None:
    async with session.transaction() as transaction:
        await transaction.fetch(SLOW, {})


@pytest.mark.server
@pytest.mark.parametrize("run", [run_one, run_with_a_time_budget, run_in_a_transaction])
async def test_other_statements_of_the_person_delay_a_statement_that_joins_a_queue(
    database: Database, monkeypatch: pytest.MonkeyPatch, run: Callable[[DeadlineSession], Awaitable[object]]
) -> None:
    delays: list[float] = []
    join = WaitQueue.join

    def note_delay(queue: WaitQueue, delay: float) -> Turn:
        delays.append(delay)
        return join(queue, delay)

    monkeypatch.setattr(WaitQueue, "join", note_delay)
    concurrency = PersonConcurrency(at_most=2)
    sessions = [DeadlineSession(database, concurrency, ANN, lambda _: None) for _ in range(2)]

    await asyncio.gather(*map(run, sessions))

    assert delays == [PER_STATEMENT]
