"""A statement that the service no longer waits for is cancelled in the database: directly, through a transaction pooler, and over TLS."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from app.domain.errors import DatabaseUnavailable, SearchTooSlow, SummaryTooSlow
from app.domain.identity import UserId
from app.domain.summary import Day
from app.infra import task_lists
from app.infra.migrations.run import upgrade
from app.infra.postgres.connector import session_settings
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import DeadlineSession, OwnerSession, PersonConcurrency
from app.infra.statements.owner_scope import Statement
from app.infra.statements.summary import SUMMARY
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.infra.test_tls import tls_server
from tests.support.factories import someone
from tests.support.servers.pgbouncer import pgbouncer
from tests.support.statements import PING

pytestmark = pytest.mark.server

SLOW = Statement("SELECT pg_sleep(30)", ())
ONE_SECOND = Statement("SELECT pg_sleep(1)", ())
COUNT_ACTIVE = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cut' AND state <> 'idle'"


@pytest.fixture(params=["directly", "through a pooler", "through a pooler that the URL does not name"])
def address(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[DatabaseAddress]:
    """The address of the database, or of a pooler before it. Its connections have the name that `COUNT_ACTIVE` looks for."""
    url = f"{database_url}?application_name=cut"
    if request.param == "directly":
        yield DatabaseAddress.parse(url)
        return
    with pgbouncer(database_url, tmp_path, server_connections=8) as pooler_url:
        parameter = "&pgbouncer=true" if request.param == "through a pooler" else ""
        yield DatabaseAddress.parse(f"{pooler_url}?application_name=cut{parameter}")


@asynccontextmanager
async def open_database(address: DatabaseAddress, *, pool_size: int = 10) -> AsyncIterator[Database]:
    """Open a database without a statement_timeout, so that only the service can end a statement."""
    database = Database(address, timeout=2, pool_size=pool_size)
    database._checkout._connector._settings = session_settings(None)
    await database.open()
    try:
        await database.fetch(PING, {})
        yield database
    finally:
        await database.close()


def after(seconds: float) -> float:
    """Return the time after so many seconds, on the loop's clock: a deadline."""
    return asyncio.get_running_loop().time() + seconds


async def still_active(url: str) -> int:
    """Wait at most two seconds until none of our server processes is active. Return how many still are."""
    connection = await asyncpg.connect(url)
    try:
        deadline = time.monotonic() + 2
        while (count := await connection.fetchval(COUNT_ACTIVE)) and time.monotonic() < deadline:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.02)
        return int(count)
    finally:
        await connection.close()


async def test_two_seconds_after_a_flood_of_slow_statements_none_is_active(
    address: DatabaseAddress, database_url: str
) -> None:
    async with open_database(address, pool_size=8) as database:
        flood = [database.fetch(SLOW, {}, until=after(1)) for _ in range(8)]
        answers = await asyncio.gather(*flood, return_exceptions=True)

        assert {type(answer) for answer in answers} == {DatabaseUnavailable}
        assert await still_active(database_url) == 0
        assert (await database.fetch(PING, {}))[0]
        assert database.counts().in_use == 0


async def test_a_transaction_past_its_deadline_and_a_cancelled_request_cancel_their_statements(
    address: DatabaseAddress, database_url: str
) -> None:
    async with open_database(address) as database:
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction(until=after(0.5)) as transaction:
                await transaction.fetch(SLOW, {})
        asking = asyncio.create_task(database.fetch(SLOW, {}))
        await asyncio.sleep(0.3)
        asking.cancel()
        await asyncio.wait([asking])

        assert asking.cancelled()
        assert await still_active(database_url) == 0


async def test_a_search_ends_after_its_time_limit_and_the_database_still_counts_as_available(
    address: DatabaseAddress, database_url: str
) -> None:
    async with open_database(address) as database:
        with pytest.raises(SearchTooSlow):
            await database.fetch(with_budget(SLOW, 0.3), {})

        assert await still_active(database_url) == 0
        assert database._trouble is None


async def test_a_summary_ends_after_its_time_limit(
    address: DatabaseAddress, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Statement("SELECT pg_sleep(30) WHERE $1 <> ''", ("owner",), SUMMARY.budget)
    monkeypatch.setattr(task_lists, "SUMMARY", with_budget(slow, (slow.budget or 0) / 10))
    async with open_database(address) as database:
        session = OwnerSession(
            DeadlineSession(database, PersonConcurrency(1), UserId("a"), lambda _: None), owner=UserId("a")
        )
        with pytest.raises(SummaryTooSlow):
            await task_lists.summary(session, Day.at(datetime.now(UTC), ZoneInfo("UTC")))

        assert await still_active(database_url) == 0
        assert database._trouble is None


def with_budget(statement: Statement, seconds: float) -> Statement:
    """Return a statement that is cancelled after so many seconds."""
    return Statement(statement.sql, statement.names, seconds)


async def test_a_request_past_its_deadline_gets_its_response_before_its_statement_is_cancelled(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelling = asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        cancelling.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("asyncpg.connect_utils._cancel", never)
    async with open_database(DatabaseAddress.parse(f"{database_url}?application_name=cut")) as database:
        with pytest.raises(DatabaseUnavailable):
            await database.fetch(ONE_SECOND, {}, until=after(0.3))

        # The cancel request is sent in the background, and never answered.
        await asyncio.wait_for(cancelling.wait(), 1)
        assert (await database.fetch(PING, {}))[0]
        assert await still_active(database_url) == 0  # the next test must not count it


async def test_readiness_responds_even_if_the_pool_is_full(database_url: str) -> None:
    async with open_database(DatabaseAddress.parse(database_url), pool_size=1) as database:
        holding = asyncio.create_task(database.fetch(SLOW, {}))
        await asyncio.sleep(0.1)
        database._trouble = "as after a statement that failed"

        trouble = await database.trouble()
        still_full = not holding.done()
        await asyncio.gather(holding, return_exceptions=True)

    assert (trouble, still_full) == (None, True)


@asynccontextmanager
async def full_database(database_url: str) -> AsyncIterator[tuple[Database, Callable[[], Awaitable[None]]]]:
    """Open a database with one connection, which runs a slow statement. Yield also the function that ends the statement."""
    async with open_database(DatabaseAddress.parse(database_url), pool_size=1) as database:
        holding = asyncio.create_task(database.fetch(SLOW, {}))
        await asyncio.sleep(0)  # the statement takes the connection

        async def end() -> None:
            holding.cancel()
            await asyncio.wait([holding])

        yield database, end
        await end()


async def until_a_request_waits(database: Database) -> None:
    """Wait until a request waits for a connection."""
    async with asyncio.timeout(5):
        while not database.counts().waiting:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)


@pytest.fixture
def queue_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one request wait for a connection, and no more."""
    monkeypatch.setattr("app.infra.postgres.pool.WAITING_PER_CONNECTION", 1)


@pytest.mark.usefixtures("queue_of_one")
async def test_given_a_full_queue_then_requests_are_refused_and_the_database_is_not_in_trouble(
    database_url: str,
) -> None:
    async with full_database(database_url) as (database, end):
        waiting = asyncio.create_task(database.fetch(PING, {}, person=someone(), running=1))
        await until_a_request_waits(database)

        with pytest.raises(DatabaseUnavailable):
            await database.fetch(PING, {}, person=someone(), running=1)
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction(person=someone(), running=1):
                pass
        first = asyncio.create_task(database.fetch(PING, {}))  # takes the place of the waiting one
        with pytest.raises(DatabaseUnavailable):
            await waiting
        marked = database._trouble
        trouble = await database.trouble()

        await end()
        assert (await first)[0]
    assert (marked, trouble) == (None, None)


async def test_given_no_connection_became_free_in_time_then_the_database_is_not_in_trouble(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.infra.postgres.wait_queue.PATIENCE", 0.01)
    async with full_database(database_url) as (database, _):
        with pytest.raises(DatabaseUnavailable):
            await database.fetch(PING, {})

        assert database._trouble is None


@pytest.mark.usefixtures("queue_of_one")
async def test_given_a_request_that_is_refused_and_cancelled_at_once_then_it_is_cancelled(
    database_url: str,
) -> None:
    async with full_database(database_url) as (database, end):
        refused = asyncio.create_task(database.fetch(PING, {}, person=someone(), running=1))
        await until_a_request_waits(database)
        first = asyncio.create_task(database.fetch(PING, {}))
        await asyncio.sleep(0)  # `first` takes the place of `refused` in the queue

        refused.cancel()
        await asyncio.wait([refused])

        assert refused.cancelled()
        await end()
        assert (await first)[0]


async def test_readiness_reports_the_result_of_its_own_probe_and_no_error_of_a_request(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_database(DatabaseAddress.parse(database_url)) as database:
        probe = database._checkout.probe

        async def probe_while_a_request_fails(until: float) -> None:
            await probe(until)
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, setattr, database, "_trouble", "of a request")

        monkeypatch.setattr(database._checkout, "probe", probe_while_a_request_fails)
        database._trouble = "as after a statement that failed"

        assert await database.trouble() is None


async def test_over_tls_a_statement_is_cancelled_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    with tls_server(tmp_path_factory.mktemp("tls"), "127.0.0.1") as (server, authority):
        address = server_address(server, authority)
        await upgrade(address)
        async with open_database(address) as database:
            with pytest.raises(DatabaseUnavailable):
                await database.fetch(SLOW, {}, until=after(0.5))

            assert await still_active(server.url) == 0


def server_address(server: PostgresServer, authority: Path) -> DatabaseAddress:
    """Return the address of a server whose certificate is verified."""
    address = DatabaseAddress.parse(f"{server.url}?sslmode=require&sslrootcert={authority}")
    return replace(address, application_name="cut")
