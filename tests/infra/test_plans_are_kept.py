"""PostgreSQL plans each statement of a request once for a connection, and then runs it without planning it again.

Each of these faults, put into the code on purpose, made a test fail: `plan_cache_mode` not set for the session; not
set for the role behind the pooler.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from time import perf_counter_ns
from zoneinfo import ZoneInfo

import pytest

from app.domain.changes import ChangesToken
from app.domain.commands import Change, Move
from app.domain.errors import TaskChanged
from app.domain.idempotency import ResponseForm
from app.domain.summary import Day
from app.domain.task import Task, TaskChanges
from app.domain.task_list import NEWEST, Bookmark, Order, Selection
from app.infra import task_lists
from app.infra.postgres.database import Database
from app.infra.statements.owner_scope import Statement
from app.infra.statements.summary import SUMMARY
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import LOGIN, PostgresServer
from tests.support.factories import MANY, NOON, TaskFactory, later, someone
from tests.support.keyed import with_new_key
from tests.support.servers.migrated import migrated_database
from tests.support.servers.pgbouncer import KEEPS_STATEMENTS, newer, pgbouncer

pytestmark = pytest.mark.server

TIMES = 10  # how often each operation runs
PREPARED = """
SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%own\\_%'
"""
AFTER = Bookmark(TaskFactory.build().id)
OLD_VERSION = frozenset({9})

Operation = Callable[[NeonTaskRepository, Task], Awaitable[object]]


def change(task: Task) -> Change:
    """Return a change that gives the task another title each time."""
    return Change(task.id, TaskChanges(title=f"{perf_counter_ns()}"))


async def trash_and_restore(mine: NeonTaskRepository, task: Task) -> None:
    await mine.trash(task.id, at=NOON)
    await mine.restore(task.id, at=NOON)


async def add_and_delete_permanently(mine: NeonTaskRepository, _: Task) -> None:
    task = TaskFactory.build()
    await mine.add(task, at_most=MANY)
    await mine.purge(task.id)


async def add_and_move(mine: NeonTaskRepository, task: Task) -> None:
    other = TaskFactory.build()
    await mine.add(other, at_most=MANY)
    await mine.move(Move(other.id, task.id, before=True), at=NOON)


async def fail_to_toggle(mine: NeonTaskRepository, task: Task) -> None:
    for tasks in (mine, with_new_key(mine)):
        with suppress(TaskChanged):
            await tasks.toggle(task.id, at=NOON, if_match=OLD_VERSION)


OPERATIONS: dict[str, Operation] = {
    "list": lambda mine, _: mine.page(50, after=None),
    "next page": lambda mine, _: mine.page(50, after=AFTER),
    "list by title": lambda mine, _: mine.page(50, after=None, selection=Selection(order=Order.TITLE)),
    "open tasks": lambda mine, _: mine.page(50, after=None, selection=replace(NEWEST, completed=False)),
    "changes": lambda mine, _: mine.changes(None, limit=50),
    "new changes": lambda mine, _: mine.changes(ChangesToken.after_revision(0), limit=50),
    "summary": lambda mine, _: mine.summary(Day.at(NOON, ZoneInfo("UTC"))),
    "read": lambda mine, task: mine.show(task.id),
    "create": lambda mine, _: mine.add(TaskFactory.build(), at_most=MANY),
    "change": lambda mine, task: mine.change(task.id, change(task).changes, at=later(1)),
    "toggle": lambda mine, task: mine.toggle(task.id, at=NOON),
    "toggle an old version": fail_to_toggle,
    "trash and restore": trash_and_restore,
    "delete permanently": add_and_delete_permanently,
    "move": add_and_move,
    "batch": lambda mine, task: mine.apply([change(task)], at=NOON, at_most=MANY),
    "create with a key": lambda mine, _: with_new_key(mine).add(TaskFactory.build(), at_most=MANY),
    "toggle with a key": lambda mine, task: with_new_key(mine).toggle(task.id, at=NOON),
    "batch with a key": lambda mine, task: with_new_key(mine, ResponseForm(texts=(b"", b""))).apply(
        [change(task)], at=NOON, at_most=MANY
    ),
    "revision": lambda mine, _: mine.revision(),
}


@pytest.fixture(scope="module", params=["PostgreSQL", "a pooler that keeps statements"])
async def database(
    request: pytest.FixtureRequest, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Database]:
    """A database with one connection. Behind the pooler the role has the setting of docs/operations.md."""
    url = await migrated_database(postgres)
    if request.param == "PostgreSQL":
        async with one_connection(url) as database:
            yield database
        return
    name = url.rpartition("/")[2]
    postgres.query(f"ALTER ROLE {LOGIN} IN DATABASE {name} SET plan_cache_mode = force_generic_plan")
    folder = tmp_path_factory.mktemp("pgbouncer")
    with pgbouncer(
        url, folder, server_connections=1, program=newer(), settings=KEEPS_STATEMENTS
    ) as pooler_url:
        async with one_connection(f"{pooler_url}?pgbouncer=true") as database:
            yield database


@asynccontextmanager
async def one_connection(url: str) -> AsyncIterator[Database]:
    database = Database(DatabaseAddress.parse(url), pool_size=1)
    await database.open()
    yield database
    await database.close()


async def plans(database: Database) -> dict[str, tuple[int, int]]:
    """Return how often each prepared statement ran with its generic plan, and how often with a custom plan."""
    rows = await database.fetch(Statement(PREPARED, ()), {})
    return {row["statement"]: (row["generic_plans"], row["custom_plans"]) for row in rows}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_statement_that_is_run_again_is_not_planned_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr(task_lists, "SUMMARY", replace(SUMMARY, budget=None))  # the machine may be busy
    mine, task = NeonTaskRepository(database, owner=someone()), TaskFactory.build()
    await mine.add(task, at_most=MANY)
    before = await plans(database)

    for _ in range(TIMES):
        await OPERATIONS[operation](mine, task)

    after = await plans(database)
    assert sum(generic for generic, _ in after.values()) >= TIMES + sum(
        generic for generic, _ in before.values()
    )
    assert [sql for sql, (_, custom) in after.items() if custom] == []
