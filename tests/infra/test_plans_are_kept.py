"""PostgreSQL plans each statement of a request once for a connection, and then runs it without planning it again.

How the test was seen to fail: `plan_cache_mode` not set for the session.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter_ns

import pytest

from app.domain.commands import Change
from app.domain.idempotency import ResponseForm
from app.domain.task import Task, TaskChanges
from app.domain.task_list import NEWEST, Bookmark, Order, Selection
from app.infra.postgres.database import Database
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from tests.support.factories import MANY, NOON, TaskFactory, later, someone
from tests.support.keyed import under_a_key

pytestmark = pytest.mark.server

TIMES = 20
PREPARED = """
SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements
WHERE statement LIKE '%own_%' AND generic_plans + custom_plans > 1
"""
AFTER = Bookmark(TaskFactory.build().id)

Act = Callable[[NeonTaskRepository, Task], Awaitable[object]]
ACTS: dict[str, Act] = {
    "list": lambda mine, _: mine.page(50, after=None),
    "next page": lambda mine, _: mine.page(50, after=AFTER),
    "list by title": lambda mine, _: mine.page(50, after=None, selection=Selection(order=Order.TITLE)),
    "open tasks": lambda mine, _: mine.page(50, after=None, selection=replace(NEWEST, completed=False)),
    "read": lambda mine, task: mine.show(task.id),
    "create": lambda mine, _: mine.add(TaskFactory.build(), at_most=MANY),
    "change": lambda mine, task: mine.change(task.id, TaskChanges(title=f"{perf_counter_ns()}"), at=later(1)),
    "toggle": lambda mine, task: mine.toggle(task.id, at=NOON),
    "create under a key": lambda mine, _: under_a_key(mine).add(TaskFactory.build(), at_most=MANY),
    "toggle under a key": lambda mine, task: under_a_key(mine).toggle(task.id, at=NOON),
    "batch under a key": lambda mine, task: under_a_key(mine, ResponseForm(texts=(b"", b""))).apply(
        [Change(task.id, TaskChanges(title=f"{perf_counter_ns()}"))], at=NOON, at_most=MANY
    ),
    "revision": lambda mine, _: mine.revision(),
}


@pytest.mark.parametrize("act", ACTS)
async def test_a_statement_that_is_run_again_is_not_planned_again(database_url: str, act: str) -> None:
    database = Database(DatabaseAddress.parse(database_url), pool_size=1)
    await database.open()
    mine, task = NeonTaskRepository(database, owner=someone()), TaskFactory.build()
    await mine.add(task, at_most=MANY)

    for _ in range(TIMES):
        await ACTS[act](mine, task)

    connection = database._checkout.idle()
    assert connection is not None
    rows = await connection.fetch(PREPARED)
    database._checkout.release(connection)
    await database.close()
    assert sum(row["generic_plans"] for row in rows) >= TIMES, rows
    assert [row for row in rows if row["custom_plans"]] == []
