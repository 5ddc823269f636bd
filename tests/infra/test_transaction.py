"""Transactions: all statements take effect or none, and no connection is lost."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.domain.errors import DatabaseUnavailable
from app.domain.identity import UserId
from app.infra.postgres.database import Database
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.support.expected_json import read
from tests.support.factories import MANY, TaskFactory, someone
from tests.support.locks import locked_owner

pytestmark = pytest.mark.server


@pytest.fixture
async def single(database_url: str) -> AsyncIterator[Database]:
    """A database with one connection, so that the next statement meets any state that was left over."""
    database = Database(DatabaseAddress.parse(database_url), pool_size=1)
    await database.open()
    yield database
    await database.close()


async def add_two(database: Database, owner: UserId, *, then: Exception | None = None) -> None:
    """Add two tasks in one transaction. If `then` is given, the transaction raises it after that."""
    async with database.transaction() as transaction:
        mine = NeonTaskRepository(transaction, owner=owner)
        for _ in range(2):
            await mine.add(TaskFactory.build(), at_most=MANY)
        if then is not None:
            raise then


async def count_tasks(database: Database, owner: UserId) -> int:
    return len(read(await NeonTaskRepository(database, owner=owner).page(10, after=None)))


async def server_process(database: Database) -> int:
    """Return the process id of the server process of the only connection."""
    connection = await database._checkout.acquire(database.deadline())
    try:
        return connection.get_server_pid()
    finally:
        database._checkout.release(connection)


async def test_statements_of_one_transaction_commit_together(single: Database) -> None:
    ann = someone()

    await add_two(single, ann)

    assert await count_tasks(single, ann) == 2


async def test_an_error_undoes_the_transaction_and_the_connection_is_used_again(single: Database) -> None:
    ann = someone()
    before = await server_process(single)

    with pytest.raises(LookupError):
        await add_two(single, ann, then=LookupError())

    assert await count_tasks(single, ann) == 0
    assert await server_process(single) == before


async def test_a_statement_that_fails_undoes_the_statements_before_it(single: Database) -> None:
    ann = someone()
    task = TaskFactory.build()

    async def add_it_twice() -> None:
        async with single.transaction() as transaction:
            mine = NeonTaskRepository(transaction, owner=ann)
            await mine.add(task, at_most=MANY)
            await mine.add(task, at_most=MANY)

    with pytest.raises(asyncpg.UniqueViolationError):
        await add_it_twice()

    assert await count_tasks(single, ann) == 0


async def test_uncommitted_rows_are_invisible_to_others(database: Database) -> None:
    ann = someone()

    async with database.transaction() as transaction:
        await NeonTaskRepository(transaction, owner=ann).add(TaskFactory.build(), at_most=MANY)
        seen = await count_tasks(database, ann)

    assert (seen, await count_tasks(database, ann)) == (0, 1)


async def test_two_people_in_one_transaction_still_see_only_their_own_rows(single: Database) -> None:
    ann, bob = someone("ann"), someone("bob")
    await add_two(single, ann)

    async with single.transaction() as transaction:
        anns = await NeonTaskRepository(transaction, owner=ann).page(10, after=None)
        bobs = await NeonTaskRepository(transaction, owner=bob).page(10, after=None)

    assert (len(read(anns)), len(read(bobs))) == (2, 0)


@pytest.mark.quiet
async def test_a_transaction_past_its_deadline_is_undone_and_frees_its_connection(
    single: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single, "_timeout", 0.5)
    ann = someone()
    await add_two(single, ann)

    async with locked_owner(database_url, ann):
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            await add_two(single, ann)
        took = time.monotonic() - began
        count_while_locked = await count_tasks(single, ann)

    assert took < 1
    assert count_while_locked == await count_tasks(single, ann) == 2


async def test_a_transaction_of_a_cancelled_request_is_undone_and_frees_its_connection(
    single: Database,
) -> None:
    ann = someone()
    begun = asyncio.Event()

    async def leave_it_open() -> None:
        async with single.transaction() as transaction:
            await NeonTaskRepository(transaction, owner=ann).add(TaskFactory.build(), at_most=MANY)
            begun.set()
            await asyncio.sleep(10)

    asking = asyncio.create_task(leave_it_open())
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert await count_tasks(single, ann) == 0


async def test_a_transaction_whose_server_process_dies_is_undone(
    single: Database, postgres: PostgresServer
) -> None:
    ann = someone()
    process = await server_process(single)

    async def be_cut_off() -> None:
        async with single.transaction() as transaction:
            mine = NeonTaskRepository(transaction, owner=ann)
            await mine.add(TaskFactory.build(), at_most=MANY)
            await asyncio.to_thread(postgres.query, f"SELECT pg_terminate_backend({process})")
            await mine.add(TaskFactory.build(), at_most=MANY)

    with pytest.raises(DatabaseUnavailable):
        await be_cut_off()

    assert await count_tasks(single, ann) == 0
    assert await server_process(single) != process
