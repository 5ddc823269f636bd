"""PostgreSQL stops, restarts or is blocked while the service uses it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from app.domain.errors import DatabaseUnavailable
from app.infra.migrations.run import upgrade
from app.infra.postgres.database import TIMEOUT, Database
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer, free_port
from tests.support.expected_json import read
from tests.support.factories import MANY, TaskFactory, someone
from tests.support.locks import locked

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL for this module only, not started."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"), durable=False)
    yield server
    server.remove()


@pytest.fixture
async def database(server: PostgresServer) -> AsyncIterator[Database]:
    """The service's pool on the started server."""
    server.start()
    address = DatabaseAddress.parse(server.url)
    await upgrade(address)
    database = Database(address)
    await database.open()
    yield database
    await database.close()
    server.stop()


async def test_a_restart_of_postgresql_between_two_requests_makes_neither_fail(
    database: Database, server: PostgresServer
) -> None:
    mine = NeonTaskRepository(database, owner=someone())
    task = TaskFactory.build()
    await asyncio.gather(*(mine.page(1, after=None) for _ in range(5)))

    await asyncio.to_thread(server.restart)

    added = await mine.add(task, at_most=MANY)
    assert await mine.show(task.id) == added


@pytest.mark.quiet
async def test_a_stopped_database_is_unavailable_and_a_started_one_available_again(
    database: Database, server: PostgresServer
) -> None:
    mine = NeonTaskRepository(database, owner=someone())
    await mine.page(1, after=None)

    await asyncio.to_thread(server.stop)
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        await mine.page(1, after=None)
    assert time.monotonic() - began < TIMEOUT + 0.5
    assert await database.trouble() is not None

    await asyncio.to_thread(server.start)
    assert await database.trouble() is None
    assert read(await mine.page(1, after=None)) == []


async def test_a_pool_can_be_opened_and_closed_without_a_database() -> None:
    database = Database(DatabaseAddress.parse(f"postgresql://ann:x@127.0.0.1:{free_port()}/db"))

    await database.open()
    trouble = await database.trouble()
    await database.close()

    assert trouble is not None


async def test_readiness_runs_no_statement_after_a_successful_one(
    database: Database, server: PostgresServer
) -> None:
    await database.trouble()
    count = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname = 'taskward'"
    await asyncio.sleep(1.1)  # PostgreSQL reports its counters once a second
    before = server.query(count)

    for _ in range(50):
        assert await database.trouble() is None

    await asyncio.sleep(1.1)
    assert server.query(count) == before


@pytest.mark.quiet
async def test_a_blocked_statement_ends_at_its_deadline_and_others_continue(
    database: Database, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_timeout", 0.5)
    mine = NeonTaskRepository(database, owner=someone())
    await mine.page(1, after=None)

    with locked(server, "taskward"):
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await mine.page(1, after=None)
        took = time.monotonic() - began
        trouble = await database.trouble()

    assert took < 1
    assert trouble is None
    assert read(await mine.page(1, after=None)) == []
