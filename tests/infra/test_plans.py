"""The plan of each statement of the service, with many owners in the table.

An index range of this owner, no more rows read than are needed, no sort: whatever else is in the table.
The statements are explained as they are sent, through the view and so under the policy, with both kinds of
plan. Lists in other orders are in `test_list_plans.py`.
Faults put in on purpose, each found by a test: an order's index taken out of the migration, `ORDER BY title`, no
`LIMIT`, `user_id == OWNER` taken out of `app.infra.statements.owner_scope`, and a policy that lets everything
through.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from app.domain.commands import Change
from app.domain.idempotency import ResponseForm
from app.domain.identity import UserId
from app.domain.task import Priority, TaskChanges, TaskId
from app.domain.task_list import Bookmark
from app.infra.postgres.database import Database
from app.infra.postgres.session import Row, Session
from app.infra.statements.owner_scope import Statement
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.support.factories import NOON, TaskFactory
from tests.support.keyed import under_a_key
from tests.support.plans import KINDS, Plan, plan_of, rows_read
from tests.support.servers.migrated import migrated_database

pytestmark = pytest.mark.server

OWNERS, TASKS_EACH, HERS = 2_000, 10, 3_000
ANN = UserId("ann")
PAGE = 20
ROOM = 10_000  # for more tasks than she has

# Ann has more than the others, among them; a third of everything is in the trash.
SEED = f"""
INSERT INTO tasks (user_id, id, title, position, title_key, trashed_at)
SELECT owner, md5(owner || n)::uuid, n::text, lpad(n::text, 8, '0') || 'V', n::text, CASE WHEN n % 3 = 0 THEN now() END
FROM (SELECT 'owner-' || g % {OWNERS} AS owner, g / {OWNERS} AS n FROM generate_series(0, {OWNERS * TASKS_EACH} - 1) g
      UNION ALL SELECT '{ANN}', g FROM generate_series(1, {HERS}) g) AS planned
ORDER BY planned.n, owner;
INSERT INTO task_owners SELECT user_id, 1, count(*) FROM tasks GROUP BY user_id;
INSERT INTO kept_answers SELECT user_id, 'create', 'key', '', 201, '{{}}', '{{}}', now()
FROM task_owners WHERE user_id <> '{ANN}';
INSERT INTO ended_tasks (user_id, revision, id)
SELECT user_id, n, md5(user_id || n)::uuid FROM task_owners, generate_series(1, 20) AS n WHERE user_id <> '{ANN}'
"""

OWNER = re.compile(r"\(user_id = \(?(\$\d+|'ann')")  # by the first wall, which the values of a plan are for

Act = Callable[[NeonTaskRepository, TaskId], Awaitable[object]]

ACTS: Mapping[str, tuple[Act, int]] = {
    "newest": (lambda mine, _: mine.page(PAGE, after=None), PAGE + 1),
    "older": (lambda mine, _: mine.page(PAGE, after=Bookmark(TaskId(UUID(int=2**127)))), PAGE + 1),
    "show": (lambda mine, task_id: mine.show(task_id), 1),
    "add": (lambda mine, _: mine.add(TaskFactory.build(), at_most=ROOM), 1),
    "change": (lambda mine, task_id: mine.change(task_id, TaskChanges(priority=Priority.HIGH), at=NOON), 1),
    "toggle": (lambda mine, task_id: mine.toggle(task_id, at=NOON), 1),
    "toggle conditionally": (
        lambda mine, task_id: mine.toggle(task_id, at=NOON, if_match=frozenset(range(1, 99))),
        1,
    ),
    "trash": (lambda mine, task_id: mine.trash(task_id, at=NOON), 1),
    "restore": (lambda mine, task_id: mine.restore(task_id, at=NOON), 1),
    "purge": (lambda mine, task_id: mine.purge(task_id), 1),
}
"""What can be done, in an order in which one task bears it, and how many rows a scan may read for it."""

KEYED: Mapping[str, Act] = {
    "add under a key": lambda mine, _: under_a_key(mine).add(TaskFactory.build(), at_most=ROOM),
    "change under a key": lambda mine, task_id: under_a_key(mine).change(
        task_id, TaskChanges(priority=Priority.LOW), at=NOON
    ),
    "toggle under a key": lambda mine, task_id: under_a_key(mine).toggle(task_id, at=NOON),
    "batch under a key": lambda mine, task_id: under_a_key(mine, ResponseForm(texts=(b"", b""))).apply(
        [Change(task_id, TaskChanges(priority=Priority.HIGH))], at=NOON, at_most=ROOM
    ),
}


@dataclass
class Explaining:
    """A connection that has each statement explained before it runs."""

    database: Session
    own: "asyncpg.Connection[asyncpg.Record]"
    plans: list[Plan]

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        self.plans += [await plan_of(self.own, kind, statement, values) for kind in KINDS]
        return await self.database.fetch(statement, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Explaining"]:
        yield self  # each statement by itself: what one holds would keep the next from being explained


def faults(plan: Plan, *, most: int) -> list[str]:
    """Say what is wrong with a plan, if anything."""
    found = ["Sort"] if plan.sorts else []
    for scan in plan.scans:
        condition = scan.get("Index Cond") or scan.get("Recheck Cond")  # a bitmap is of an index range too
        where = f"{scan['Node Type']} on {scan['Relation Name']}: {condition}"
        if not (scan["Node Type"].startswith(("Index", "Bitmap")) and OWNER.search(where)):
            found.append(where)
        if (read := rows_read(scan)) > most:
            found.append(f"{read} rows read of {scan['Relation Name']}, not {most}")
    return found


@pytest.fixture(scope="module")
async def explaining(postgres: PostgresServer) -> AsyncIterator[Explaining]:
    url = await migrated_database(postgres)
    address = DatabaseAddress.parse(url)
    postgres.query(SEED, address.database)
    postgres.query("VACUUM ANALYZE tasks", address.database)
    postgres.query("VACUUM ANALYZE task_owners", address.database)
    postgres.query("VACUUM ANALYZE kept_answers", address.database)
    postgres.query("VACUUM ANALYZE ended_tasks", address.database)
    database, own = Database(address), await asyncpg.connect(url)
    await database.open()
    yield Explaining(database, own, [])
    await own.close()
    await database.close()


@pytest.fixture(scope="module")
async def task_id(explaining: Explaining) -> TaskId:
    """A task of Ann's, for all that can be done."""
    task = TaskFactory.build()
    await NeonTaskRepository(explaining.database, owner=ANN).add(task, at_most=ROOM)
    return task.id


@pytest.mark.parametrize("act", ACTS)
async def test_each_statement_reads_only_an_index_range_of_its_owner(
    explaining: Explaining, task_id: TaskId, act: str
) -> None:
    explaining.plans.clear()
    do, most = ACTS[act]

    await do(NeonTaskRepository(explaining, owner=ANN), task_id)

    assert explaining.plans
    for plan in explaining.plans:
        assert faults(plan, most=most) == [], str(plan)


@pytest.mark.parametrize("act", KEYED)
async def test_a_statement_under_a_key_reads_one_row_of_each_table(explaining: Explaining, act: str) -> None:
    task = TaskFactory.build()
    await NeonTaskRepository(explaining.database, owner=ANN).add(task, at_most=ROOM)
    explaining.plans.clear()

    await KEYED[act](NeonTaskRepository(explaining, owner=ANN), task.id)

    assert len(explaining.plans) == len(KINDS)
    for plan in explaining.plans:
        assert faults(plan, most=1) == [], str(plan)


async def test_the_plans_are_made_with_row_level_security(explaining: Explaining, task_id: TaskId) -> None:
    explaining.plans.clear()
    mine = NeonTaskRepository(explaining, owner=ANN)

    await mine.page(PAGE, after=None)

    for plan in explaining.plans:
        assert "current_setting('app.user_id'" in str(plan)


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        ("ORDER BY title DESC LIMIT 20", "Sort"),
        ("ORDER BY id DESC", "rows read"),
        ("AND title = '7'", "rows read"),
        ("OR id = md5('ann7')::uuid", "app.user_id"),
    ],
)
async def test_a_plan_that_reads_too_many_rows_is_detected(
    explaining: Explaining, condition: str, fault: str
) -> None:
    owner_scope = "(SELECT set_config('app.user_id', $1, true)) IS NOT NULL AND user_id = $1"
    statement = Statement(f"SELECT id FROM own_tasks WHERE {owner_scope} {condition}", ("owner",))

    plans = [await plan_of(explaining.own, kind, statement, {"owner": ANN}) for kind in KINDS]

    for plan in plans:
        assert any(fault in found for found in faults(plan, most=PAGE)), str(plan)
