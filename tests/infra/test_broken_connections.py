"""What reads and writes return or raise after a broken connection, during a lock, or with a full pool.

Each of these faults, put into the code on purpose, made a test fail: reads not repeated; writes repeated; every
lost connection reported as an unknown outcome, or none; no `statement_timeout`; idle connections reused after one was
lost; a deadline for each statement; a write on a connection that is known to be broken not repeated.
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
from app.infra.postgres.database import Database, Deadlines
from app.infra.statements.owner_scope import Statement
from app.infra.tasks import NeonTaskRepository
from app.settings import Settings
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.expected_json import read
from tests.support.factories import MANY, TaskFactory, someone
from tests.support.in_process import client_of
from tests.support.statements import PING

pytestmark = pytest.mark.server

OF_OUR_POOLS = "datname = current_database() AND pid <> pg_backend_pid() AND usename = 'taskward'"


class FaultyDatabase:
    """The database, and the faults that a test can cause in it."""

    def __init__(self, postgres: PostgresServer, url: str) -> None:
        self.postgres = postgres
        self.address = DatabaseAddress.parse(url)

    def query(self, sql: str) -> str:
        return self.postgres.query(sql, self.address.database)

    def end_processes(self, state: str) -> int:
        """End the server processes of our pools that are in this state. Return how many there were."""
        terminate = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {OF_OUR_POOLS} AND state = '{state}'"
        return int(self.query(terminate))

    def claim_a_pooler(self) -> None:
        """Name a pooler in the URL. Then the service sets no `statement_timeout`, and must end statements itself."""
        self.address = DatabaseAddress.parse(f"{self.postgres.url_of(self.address.database)}?pgbouncer=true")

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Lock the table `tasks`, so that every statement on it waits, until the block ends."""
        lock = "BEGIN; LOCK TABLE tasks; SELECT pg_sleep(30)"
        holding = asyncio.create_task(asyncio.to_thread(self.query, lock))
        await self.until("wait_event = 'PgSleep'", 1)
        try:
            yield
        finally:
            self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            await asyncio.gather(holding, return_exceptions=True)

    async def until(self, condition: str, count: int) -> None:
        """Wait until at least this many server processes meet the condition."""
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
        async with asyncio.timeout(5):
            while int(await asyncio.to_thread(self.query, sql)) < count:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)

    async def until_blocked(self, count: int = 1) -> None:
        """Wait until at least this many statements wait for a lock."""
        await self.until("wait_event_type = 'Lock'", count)


@pytest.fixture
async def faulty(postgres: PostgresServer, database_url: str) -> FaultyDatabase:
    return FaultyDatabase(postgres, database_url)


@asynccontextmanager
async def open_database(
    faulty: FaultyDatabase, *, seconds: float = 5, pool_size: int = 10
) -> AsyncIterator[Database]:
    """Open the database; each request has these seconds."""
    database = Database(faulty.address, timeout=seconds, pool_size=pool_size)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def open_connections(database: Database, connections: int) -> None:
    """Open this many connections, and leave them idle."""
    in_use = [await database._checkout.acquire(database.deadline()) for _ in range(connections)]
    for connection in in_use:
        database._checkout.release(connection)


async def test_a_read_whose_server_process_ends_is_repeated(faulty: FaultyDatabase) -> None:
    async with open_database(faulty) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        async with faulty.locked():
            reading = asyncio.create_task(mine.page(1, after=None))
            await faulty.until_blocked()
            assert faulty.end_processes("active") >= 1
            await asyncio.sleep(0.1)

        assert read(await reading) == []


async def test_a_write_whose_server_process_ends_gets_outcome_unknown_and_is_not_repeated(
    faulty: FaultyDatabase,
) -> None:
    async with open_database(faulty) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        async with faulty.locked():
            writing = asyncio.create_task(mine.add(TaskFactory.build(), at_most=MANY))
            await faulty.until_blocked()
            faulty.end_processes("active")
            with pytest.raises(OutcomeUnknown):
                await writing

        assert read(await mine.page(1, after=None)) == []


@pytest.mark.quiet
async def test_a_write_that_waits_too_long_for_a_lock_is_cancelled_and_reported_as_not_done(
    faulty: FaultyDatabase,
) -> None:
    async with open_database(faulty, seconds=1) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        async with faulty.locked():
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailable) as raised:
                await mine.add(TaskFactory.build(), at_most=MANY)
            took = time.monotonic() - began

        assert type(raised.value) is DatabaseUnavailable
        assert took < 1.2
        assert read(await mine.page(1, after=None)) == []


async def test_behind_a_pooler_a_write_that_waits_for_a_lock_gets_outcome_unknown(
    faulty: FaultyDatabase,
) -> None:
    faulty.claim_a_pooler()
    async with open_database(faulty, seconds=3) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        async with faulty.locked():
            with pytest.raises(OutcomeUnknown):
                await mine.add(TaskFactory.build(), at_most=MANY)


async def test_a_statement_that_takes_too_long_is_cancelled_and_other_idle_connections_are_kept(
    faulty: FaultyDatabase,
) -> None:
    faulty.claim_a_pooler()
    async with open_database(faulty, seconds=3) as database:
        await open_connections(database, 4)
        with pytest.raises(DatabaseUnavailable, match="TimeoutError"):
            await database.fetch(Statement("SELECT pg_sleep(30)", ()), {})

        assert (database.counts().idle, database.counts().in_use) == (3, 0)


async def test_an_error_that_arrives_at_the_deadline_is_reported_as_that_error(
    faulty: FaultyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_database(faulty) as database:
        # As if the deadline came at the same moment.
        monkeypatch.setattr(Deadlines, "unwatch", lambda *_: True)
        with pytest.raises(DivisionByZeroError):
            await database.fetch(Statement("SELECT 1 / 0", ()), {})


async def test_after_a_database_is_opened_again_statements_are_cancelled_in_time_again(
    faulty: FaultyDatabase,
) -> None:
    faulty.claim_a_pooler()
    database = Database(faulty.address, timeout=0.5)

    async def seconds_to_fail(seconds: int) -> float:
        await database.open()
        began = time.monotonic()
        with suppress(DatabaseUnavailable):
            await database.fetch(Statement(f"SELECT pg_sleep({seconds})", ()), {})
        await database.close()
        return time.monotonic() - began

    # In another event loop, which ends before the deadline.
    await asyncio.to_thread(asyncio.run, seconds_to_fail(0))

    assert await seconds_to_fail(3) < 2


async def test_an_idle_connection_has_no_deadline(faulty: FaultyDatabase) -> None:
    async with open_database(faulty, seconds=2) as database:
        await database.fetch(PING, {})
        await asyncio.sleep(4)
        (connection,) = [one for one, _ in database._checkout._pool._idle]

        assert not connection.is_closed()


async def test_reads_and_transactions_succeed_after_the_server_processes_of_idle_connections_ended(
    faulty: FaultyDatabase,
) -> None:
    async with open_database(faulty) as database:
        ann = someone()
        await open_connections(database, 6)

        # The pool does not notice the ends before the event loop runs again.
        assert faulty.end_processes("idle") >= 6

        assert read(await NeonTaskRepository(database, owner=ann).page(1, after=None)) == []
        await open_connections(database, 6)
        assert faulty.end_processes("idle") >= 6
        async with database.transaction() as transaction:
            await NeonTaskRepository(transaction, owner=ann).add(TaskFactory.build(), at_most=MANY)
        assert len(read(await NeonTaskRepository(database, owner=ann).page(9, after=None))) == 1


async def test_given_one_lost_connection_then_the_other_idle_connections_are_replaced_and_no_request_fails(
    faulty: FaultyDatabase,
) -> None:
    async with open_database(faulty) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await open_connections(database, 6)
        assert faulty.end_processes("idle") >= 6

        answers = [
            await mine.page(1, after=None),
            *[await mine.add(TaskFactory.build(), at_most=MANY) for _ in range(5)],
        ]

        assert len(answers) == 6


async def test_given_a_full_pool_then_a_wait_ends_before_the_deadline_and_a_full_queue_refuses_at_once(
    faulty: FaultyDatabase,
) -> None:
    async with open_database(faulty, pool_size=1, seconds=20) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        ask = partial(mine.page, 1, after=None)
        async with faulty.locked():
            holding = asyncio.create_task(ask())
            await faulty.until_blocked()
            asking = [asyncio.create_task(ask()) for _ in range(30)]
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            while sum(task.done() for task in asking) < 10:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
            waiting = database.counts().waiting
            await asyncio.wait(asking)
            holder_was_done = holding.done()
            await asyncio.gather(holding, return_exceptions=True)

        assert waiting == 20  # ten found the queue full, and the other twenty still waited
        assert not holder_was_done  # so the requests in the queue were refused before the deadline
        assert {type(task.exception()) for task in asking} == {DatabaseUnavailable}


async def test_a_cancelled_waiter_leaves_the_queue_for_a_connection(faulty: FaultyDatabase) -> None:
    async with open_database(faulty, pool_size=1) as database:
        in_use = await database._checkout.acquire(database.deadline())
        asking = asyncio.create_task(NeonTaskRepository(database, owner=someone()).page(1, after=None))
        await asyncio.sleep(0.1)
        assert database._checkout._pool is not None
        queue = database._checkout._pool._wait_queue
        assert len(queue) == 1

        asking.cancel()
        await asyncio.wait([asking])

        assert len(queue) == 0
        database._checkout.release(in_use)


async def test_a_persons_first_statement_goes_before_another_persons_second_one(
    faulty: FaultyDatabase,
) -> None:
    url = faulty.postgres.url_of(faulty.address.database)
    app = compose(Settings.from_env(environment_for(url, POOL_SIZE="1")))
    ann, bob = someone("ann"), someone("bob")
    async with client_of(app):
        ended: list[UserId] = []

        async def ask(name: UserId) -> None:
            await app.app_state.unit_of_work_of(name).tasks.list()
            ended.append(name)

        async with faulty.locked():
            asking = [asyncio.create_task(ask(name)) for name in (ann, ann, ann, bob)]
            await asyncio.sleep(0.3)
        await asyncio.gather(*asking)

    assert ended == [ann, bob, ann, ann]


@pytest.mark.quiet
async def test_all_statements_of_a_request_share_one_deadline(faulty: FaultyDatabase) -> None:
    url = faulty.postgres.url_of(faulty.address.database)
    app = compose(Settings.from_env(environment_for(url, REQUEST_TIMEOUT="1")))
    async with client_of(app):
        tasks = app.app_state.unit_of_work_of(someone()).tasks  # all its statements belong to one request
        began = time.monotonic()
        await tasks.revision()
        await asyncio.sleep(0.7)
        async with faulty.locked():
            with pytest.raises(DatabaseUnavailable):
                await tasks.list()

        assert time.monotonic() - began < 1.2


async def test_a_stream_does_not_wait_for_the_requests_of_its_person(faulty: FaultyDatabase) -> None:
    url = faulty.postgres.url_of(faulty.address.database)
    app, ann = compose(Settings.from_env(environment_for(url, PERSON_CONCURRENCY="1"))), someone("ann")
    async with client_of(app):
        of_request, of_stream = app.app_state.unit_of_work_of, app.app_state.unit_of_work_of_stream
        await asyncio.gather(of_request(ann).tasks.revision(), of_stream(ann).tasks.revision())
        async with faulty.locked():
            asking = asyncio.create_task(of_request(ann).tasks.list())
            await asyncio.sleep(0.1)
            assert await of_stream(ann).tasks.revision() == 0
            assert not asking.done()
            asking.cancel()
            await asyncio.wait([asking])


async def test_a_write_that_the_driver_did_not_send_is_repeated_once(
    faulty: FaultyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_database(faulty) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await mine.page(1, after=None)
        broken = await database._checkout.acquire(database.deadline())
        broken.terminate()
        idle = iter([broken])  # as if the pool had not noticed
        monkeypatch.setattr(database._checkout, "acquire_idle", lambda: next(idle, None))

        await mine.add(TaskFactory.build(), at_most=MANY)

        assert len(read(await mine.page(9, after=None))) == 1


@pytest.mark.parametrize("pause", [0, 0.001, 0.003, 0.01, 0.03])
async def test_a_write_just_after_idle_connections_ended_is_done_or_of_unknown_outcome(
    faulty: FaultyDatabase, pause: float
) -> None:
    """Depending on the pause, asyncpg raises one of three errors. One is not of asyncpg's own error classes."""
    async with open_database(faulty) as database:
        mine = NeonTaskRepository(database, owner=someone())
        await open_connections(database, 6)
        faulty.end_processes("idle")
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

    assert 1 <= attempts <= 2  # 5 if the time of an attempt did not count
