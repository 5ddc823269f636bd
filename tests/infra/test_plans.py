"""The plans of the statements for one task and for a page of the newest tasks, with many owners in the table.

Each plan reads an index range of the owner, reads no more rows than it needs, and sorts nothing. Statements are explained as
the service sends them: through the view, and so with row-level security. Both kinds of plan are tested.
`test_list_plans.py` tests other lists and the summary, `test_changes_plans.py` changes, and
`test_plans_without_statistics.py` moves and batches.

Each of these faults, put into the code on purpose, made a test fail: no index of an order in the migration; `ORDER
BY title`; no `LIMIT`; no `user_id == OWNER` in `app.infra.statements.owner_scope`; a policy that allows every row.
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
from tests.support.keyed import with_new_key
from tests.support.plans import KINDS, Plan, plan_of, rows_of_scan
from tests.support.servers.migrated import migrated_database

pytestmark = pytest.mark.server

OWNERS, TASKS_EACH, TASKS_OF_ANN = 2_000, 10, 3_000
ANN = UserId("ann")
PAGE = 20
TASKS_MAX = 10_000  # more than Ann has

# Ann has more tasks than any other owner, stored between theirs. A third of all tasks is in the trash.
SEED = f"""
INSERT INTO tasks (user_id, id, title, position, title_key, trashed_at)
SELECT owner, md5(owner || n)::uuid, n::text, lpad(n::text, 8, '0') || 'V', n::text, CASE WHEN n % 3 = 0 THEN now() END
FROM (SELECT 'owner-' || g % {OWNERS} AS owner, g / {OWNERS} AS n FROM generate_series(0, {OWNERS * TASKS_EACH} - 1) g
      UNION ALL SELECT '{ANN}', g FROM generate_series(1, {TASKS_OF_ANN}) g) AS planned
ORDER BY planned.n, owner;
INSERT INTO task_owners SELECT user_id, 1, count(*) FROM tasks GROUP BY user_id;
INSERT INTO kept_answers SELECT user_id, 'create', 'key', '', 201, '{{}}', '{{}}', now()
FROM task_owners WHERE user_id <> '{ANN}';
INSERT INTO ended_tasks (user_id, revision, id)
SELECT user_id, n, md5(user_id || n)::uuid FROM task_owners, generate_series(1, 20) AS n WHERE user_id <> '{ANN}'
"""

# The owner predicate, with a parameter or with the id of Ann.
OWNER = re.compile(r"\(user_id = \(?(\$\d+|'ann')")

Operation = Callable[[NeonTaskRepository, TaskId], Awaitable[object]]

OPERATIONS: Mapping[str, tuple[Operation, int]] = {
    "newest": (lambda mine, _: mine.page(PAGE, after=None), PAGE + 1),
    "older": (lambda mine, _: mine.page(PAGE, after=Bookmark(TaskId(UUID(int=2**127)))), PAGE + 1),
    "show": (lambda mine, task_id: mine.show(task_id), 1),
    "add": (lambda mine, _: mine.add(TaskFactory.build(), at_most=TASKS_MAX), 1),
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
"""Each operation, and how many rows a scan may read for it. They run in this order on the same task."""

KEYED: Mapping[str, Operation] = {
    "add with a key": lambda mine, _: with_new_key(mine).add(TaskFactory.build(), at_most=TASKS_MAX),
    "change with a key": lambda mine, task_id: with_new_key(mine).change(
        task_id, TaskChanges(priority=Priority.LOW), at=NOON
    ),
    "toggle with a key": lambda mine, task_id: with_new_key(mine).toggle(task_id, at=NOON),
    "batch with a key": lambda mine, task_id: with_new_key(mine, ResponseForm(texts=(b"", b""))).apply(
        [Change(task_id, TaskChanges(priority=Priority.HIGH))], at=NOON, at_most=TASKS_MAX
    ),
}


@dataclass
class ExplainingSession:
    """A session that explains each statement before it runs."""

    database: Session
    connection: "asyncpg.Connection[asyncpg.Record]"
    plans: list[Plan]

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        self.plans += [await plan_of(self.connection, kind, statement, values) for kind in KINDS]
        return await self.database.fetch(statement, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["ExplainingSession"]:
        yield self  # no transaction, whose locks would block the EXPLAIN of the next statement


def faults(plan: Plan, *, most: int) -> list[str]:
    """Return what is wrong in a plan: a sort, a scan of more than the owner's index range, more rows than `most`."""
    found = ["Sort"] if plan.sorts else []
    for scan in plan.scans:
        # A bitmap scan also reads an index range.
        condition = scan.get("Index Cond") or scan.get("Recheck Cond")
        where = f"{scan['Node Type']} on {scan['Relation Name']}: {condition}"
        if not (scan["Node Type"].startswith(("Index", "Bitmap")) and OWNER.search(where)):
            found.append(where)
        if (read := rows_of_scan(scan)) > most:
            found.append(f"{read} rows read of {scan['Relation Name']}, not {most}")
    return found


@pytest.fixture(scope="module")
async def explaining(postgres: PostgresServer) -> AsyncIterator[ExplainingSession]:
    """A session that explains its statements, on a database with the rows of SEED."""
    url = await migrated_database(postgres)
    address = DatabaseAddress.parse(url)
    postgres.query(SEED, address.database)
    postgres.query("VACUUM ANALYZE tasks", address.database)
    postgres.query("VACUUM ANALYZE task_owners", address.database)
    postgres.query("VACUUM ANALYZE kept_answers", address.database)
    postgres.query("VACUUM ANALYZE ended_tasks", address.database)
    database, connection = Database(address), await asyncpg.connect(url)
    await database.open()
    yield ExplainingSession(database, connection, [])
    await connection.close()
    await database.close()


@pytest.fixture(scope="module")
async def task_id(explaining: ExplainingSession) -> TaskId:
    """A task of Ann's for all operations."""
    task = TaskFactory.build()
    await NeonTaskRepository(explaining.database, owner=ANN).add(task, at_most=TASKS_MAX)
    return task.id


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_each_statement_reads_only_an_index_range_of_its_owner(
    explaining: ExplainingSession, task_id: TaskId, operation: str
) -> None:
    explaining.plans.clear()
    do, most = OPERATIONS[operation]

    await do(NeonTaskRepository(explaining, owner=ANN), task_id)

    assert explaining.plans
    for plan in explaining.plans:
        assert faults(plan, most=most) == [], str(plan)


@pytest.mark.parametrize("operation", KEYED)
async def test_a_write_with_a_key_is_one_statement_and_each_of_its_scans_reads_at_most_one_row(
    explaining: ExplainingSession, operation: str
) -> None:
    task = TaskFactory.build()
    await NeonTaskRepository(explaining.database, owner=ANN).add(task, at_most=TASKS_MAX)
    explaining.plans.clear()

    await KEYED[operation](NeonTaskRepository(explaining, owner=ANN), task.id)

    assert len(explaining.plans) == len(KINDS)
    for plan in explaining.plans:
        assert faults(plan, most=1) == [], str(plan)


async def test_the_plans_are_made_with_row_level_security(
    explaining: ExplainingSession, task_id: TaskId
) -> None:
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
async def test_a_bad_plan_is_detected(explaining: ExplainingSession, condition: str, fault: str) -> None:
    owner_scope = "(SELECT set_config('app.user_id', $1, true)) IS NOT NULL AND user_id = $1"
    statement = Statement(f"SELECT id FROM own_tasks WHERE {owner_scope} {condition}", ("owner",))

    plans = [await plan_of(explaining.connection, kind, statement, {"owner": ANN}) for kind in KINDS]

    for plan in plans:
        assert any(fault in found for found in faults(plan, most=PAGE)), str(plan)
