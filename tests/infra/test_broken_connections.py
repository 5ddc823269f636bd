"""The responses after a broken connection, a lock, or a full pool.

Faults put in on purpose, each found by a test: reads not repeated; writes repeated; every loss reported as
unknown, or none; no `statement_timeout`; idle connections trusted after a loss; a deadline for each statement; a
broken connection that no write may survive.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
from asyncpg import ConnectionDoesNotExistError, DivisionByZeroError

from app.composition import compose
from app.domain.errors import DatabaseUnavailable, OutcomeUnknown
from app.domain.identity import UserId
from app.infra.postgres.connect import connect
from app.infra.postgres.database import PING, Database, Deadlines
from app.infra.statements.owner_scope import Statement
from app.infra.tasks import NeonTaskRepository
from app.settings import Settings
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.expected_json import read
from tests.support.factories import MANY, TaskFactory, someone
from tests.support.in_process import client_of

pytestmark = pytest.mark.server

OURS = "datname = current_database() AND pid <> pg_backend_pid() AND usename = 'taskward'"


class Place:
    """A database of one test, and the faults that the test can cause."""

    def __init__(self, postgres: PostgresServer, url: str) -> None:
        self.postgres = postgres
        self.address = DatabaseAddress.parse(url)

    def query(self, sql: str) -> str:
        return self.postgres.query(sql, self.address.database)

    def end(self, state: str) -> int:
        """End our server processes in this state, and return how many there were."""
        ended = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {OURS} AND state = '{state}'"
        return int(self.query(ended))

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold a lock that every statement of a task meets."""
        lock = "BEGIN; LOCK TABLE tasks; SELECT pg_sleep(30)"
        holding = asyncio.create_task(asyncio.to_thread(self.query, lock))
        await self.until("wait_event = 'PgSleep'", 1)
        try:
            yield
        finally:
            self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            await asyncio.gather(holding, return_exceptions=True)

    async def until(self, condition: str, count: int) -> None:
        """Wait until this number of server processes has this state."""
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
        async with asyncio.timeout(5):
            while int(await asyncio.to_thread(self.query, sql)) < count:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)

    async def blocked(self, count: int = 1) -> None:
        await self.until("wait_event_type = 'Lock'", count)


@pytest.fixture
async def place(postgres: PostgresServer, database_url: str) -> Place:
    return Place(postgres, database_url)


@asynccontextmanager
async def open_database(place: Place, *, seconds: float = 5, pool_size: int = 10) -> AsyncIterator[Database]:
    database = Database(place.address, timeout=seconds, pool_size=pool_size)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def warmed(database: Database, connections: int) -> None:
    """Open so many connections, and leave them idle."""
    in_use = [await database._checkout.acquire(database.deadline()) for _ in range(connections)]
    for connection in in_use:
        database._checkout.release(connection)


async def test_a_read_whose_server_process_ends_is_repeated(place: Place) -> None:
    async with open_database(place) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        async with place.locked():
            reading = asyncio.create_task(mine.page(1, after=None))
            await place.blocked()
            assert place.end("active") >= 1
            await asyncio.sleep(0.1)

        assert read(await reading) == []


async def test_a_write_whose_server_process_ends_gets_outcome_unknown_and_is_not_repeated(
    place: Place,
) -> None:
    async with open_database(place) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        async with place.locked():
            writing = asyncio.create_task(mine.add(TaskFactory.build(), at_most=MANY))
            await place.blocked()
            place.end("active")
            with pytest.raises(OutcomeUnknown):
                await writing

        assert read(await mine.page(1, after=None)) == []


@pytest.mark.quiet
async def test_a_write_that_waits_too_long_for_a_lock_is_cancelled_and_reported_as_not_done(
    place: Place,
) -> None:
    async with open_database(place, seconds=1) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        async with place.locked():
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailable) as raised:
                await mine.add(TaskFactory.build(), at_most=MANY)
            took = time.monotonic() - began

        assert type(raised.value) is DatabaseUnavailable
        assert took < 1.2
        assert read(await mine.page(1, after=None)) == []


async def test_behind_a_pooler_a_write_that_waits_for_a_lock_gets_outcome_unknown(place: Place) -> None:
    place.address = DatabaseAddress.parse(f"{place.postgres.url_of(place.address.database)}?pgbouncer=true")
    async with open_database(place, seconds=3) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        async with place.locked():
            with pytest.raises(OutcomeUnknown):
                await mine.add(TaskFactory.build(), at_most=MANY)


async def test_a_statement_that_takes_too_long_is_cancelled_and_other_idle_connections_are_kept(
    place: Place,
) -> None:
    place.address = DatabaseAddress.parse(f"{place.postgres.url_of(place.address.database)}?pgbouncer=true")
    async with open_database(place, seconds=3) as database:
        await warmed(database, 4)
        with pytest.raises(DatabaseUnavailable, match="TimeoutError"):
            await database.fetch(Statement("SELECT pg_sleep(30)", ()), {})

        assert (database.counts().idle, database.counts().in_use) == (3, 0)


async def test_an_error_that_arrives_at_the_deadline_is_reported_as_that_error(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_database(place) as database:
        monkeypatch.setattr(Deadlines, "unwatch", lambda *_: True)  # its time was up in the same moment
        with pytest.raises(DivisionByZeroError):
            await database.fetch(Statement("SELECT 1 / 0", ()), {})


async def test_after_a_database_is_opened_again_statements_are_cancelled_in_time_again(place: Place) -> None:
    place.address = DatabaseAddress.parse(f"{place.postgres.url_of(place.address.database)}?pgbouncer=true")
    database = Database(place.address, timeout=0.5)

    async def seconds_to_fail(seconds: int) -> float:
        await database.open()
        began = time.monotonic()
        with suppress(DatabaseUnavailable):
            await database.fetch(Statement(f"SELECT pg_sleep({seconds})", ()), {})
        await database.close()
        return time.monotonic() - began

    # A loop of its own, which ends before the deadline.
    await asyncio.to_thread(asyncio.run, seconds_to_fail(0))

    assert await seconds_to_fail(3) < 2


async def test_an_idle_connection_has_no_deadline(place: Place) -> None:
    async with open_database(place, seconds=2) as database:
        await database.fetch(PING, {})
        await asyncio.sleep(4)
        (connection,) = [one for one, _ in database._checkout._pool._idle]  # type: ignore[union-attr]  # it is open

        assert not connection.is_closed()


async def test_server_processes_that_end_while_idle_are_not_noticed_by_reads_and_transactions(
    place: Place,
) -> None:
    async with open_database(place) as database:
        ann = someone()
        await warmed(database, 6)

        assert place.end("idle") >= 6  # and nothing was awaited, so the pool does not know it yet

        assert read(await NeonTaskRepository(database, owner=ann).page(1, after=None)) == []
        await warmed(database, 6)
        assert place.end("idle") >= 6
        async with database.transaction() as transaction:
            await NeonTaskRepository(transaction, owner=ann).add(TaskFactory.build(), at_most=MANY)
        assert len(read(await NeonTaskRepository(database, owner=ann).page(9, after=None))) == 1


async def test_given_one_lost_connection_then_the_other_idle_connections_are_not_reused(place: Place) -> None:
    async with open_database(place) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await warmed(database, 6)
        assert place.end("idle") >= 6

        answers = [
            await mine.page(1, after=None),
            *[await mine.add(TaskFactory.build(), at_most=MANY) for _ in range(5)],
        ]

        assert len(answers) == 6


async def test_given_a_full_pool_then_a_wait_ends_before_the_deadline_and_a_full_queue_refuses_at_once(
    place: Place,
) -> None:
    async with open_database(place, pool_size=1, seconds=20) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        ask = partial(mine.page, 1, after=None)
        async with place.locked():
            holding = asyncio.create_task(ask())
            await place.blocked()
            asking = [asyncio.create_task(ask()) for _ in range(30)]
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            while sum(task.done() for task in asking) < 10:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
            waiting = database.counts().waiting
            await asyncio.wait(asking)
            holder_was_done = holding.done()
            await asyncio.gather(holding, return_exceptions=True)

        assert waiting == 20  # ten found the line full, and all others still stood in it
        assert not holder_was_done  # who waited was refused before the deadline
        assert {type(task.exception()) for task in asking} == {DatabaseUnavailable}


async def test_a_cancelled_waiter_leaves_the_queue_for_a_connection(place: Place) -> None:
    async with open_database(place, pool_size=1) as database:
        in_use = await database._checkout.acquire(database.deadline())
        asking = asyncio.create_task(NeonTaskRepository(database, owner=someone()).page(1, after=None))
        await asyncio.sleep(0.1)
        assert database._checkout._pool is not None
        line = database._checkout._pool._wait_queue
        assert len(line) == 1

        asking.cancel()
        await asyncio.wait([asking])

        assert len(line) == 0
        database._checkout.release(in_use)


async def test_a_persons_first_statement_goes_before_another_persons_second_one(
    place: Place,
) -> None:
    url = place.postgres.url_of(place.address.database)
    app = compose(Settings.from_env(environment_for(url, POOL_SIZE="1")))
    ann, bob = someone("ann"), someone("bob")
    async with client_of(app):
        ended: list[UserId] = []

        async def ask(name: UserId) -> None:
            await app.app_state.unit_of_work_of(name).tasks.list()
            ended.append(name)

        async with place.locked():
            asking = [asyncio.create_task(ask(name)) for name in (ann, ann, ann, bob)]
            await asyncio.sleep(0.3)
        await asyncio.gather(*asking)

    assert ended == [ann, bob, ann, ann]


@pytest.mark.quiet
async def test_all_statements_of_a_request_share_one_deadline(place: Place) -> None:
    url = place.postgres.url_of(place.address.database)
    app = compose(Settings.from_env(environment_for(url, REQUEST_TIMEOUT="1")))
    async with client_of(app):
        tasks = app.app_state.unit_of_work_of(someone()).tasks  # as for one request
        began = time.monotonic()
        await tasks.revision()
        await asyncio.sleep(0.7)
        async with place.locked():
            with pytest.raises(DatabaseUnavailable):
                await tasks.list()

        assert time.monotonic() - began < 1.2


async def test_a_stream_does_not_wait_for_the_requests_of_its_person(place: Place) -> None:
    url = place.postgres.url_of(place.address.database)
    app, ann = compose(Settings.from_env(environment_for(url, PERSON_CONCURRENCY="1"))), someone("ann")
    async with client_of(app):
        of_request, of_stream = app.app_state.unit_of_work_of, app.app_state.unit_of_work_of_stream
        await asyncio.gather(of_request(ann).tasks.revision(), of_stream(ann).tasks.revision())
        async with place.locked():
            asking = asyncio.create_task(of_request(ann).tasks.list())
            await asyncio.sleep(0.1)
            assert await of_stream(ann).tasks.revision() == 0
            assert not asking.done()
            asking.cancel()
            await asyncio.wait([asking])


async def test_a_write_that_the_driver_did_not_send_is_repeated_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_database(place) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        broken = await database._checkout.acquire(database.deadline())
        broken.terminate()
        idle = iter([broken])  # as if the pool did not know it yet
        monkeypatch.setattr(database._checkout, "idle", lambda: next(idle, None))

        await mine.add(TaskFactory.build(), at_most=MANY)

        assert len(read(await mine.page(9, after=None))) == 1


@pytest.mark.parametrize("pause", [0, 0.001, 0.003, 0.01, 0.03])
async def test_a_write_just_after_idle_connections_ended_is_done_or_of_unknown_outcome(
    place: Place, pause: float
) -> None:
    """In these milliseconds asyncpg has three different errors for it, one of them outside its own tree."""
    async with open_database(place) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await warmed(database, 6)
        place.end("idle")
        await asyncio.sleep(pause)

        adding = (mine.add(TaskFactory.build(), at_most=MANY) for _ in range(6))
        outcomes = await asyncio.gather(*adding, return_exceptions=True)

        errors = {type(each) for each in outcomes if isinstance(each, BaseException)}
        assert errors <= {OutcomeUnknown}


async def test_given_a_server_that_refuses_slowly_then_no_attempt_begins_after_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.infra.postgres.connect.OPENING_BUDGET", 0.5)
    attempts = 0

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0.4)
        writer.transport.abort()

    async with await asyncio.start_server(refuse, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((ConnectionError, ConnectionDoesNotExistError)):
            await connect(DatabaseAddress.parse(f"postgresql://ann:x@127.0.0.1:{port}/x?sslmode=disable"))

    assert 1 <= attempts <= 2  # 5 where only the pauses count
