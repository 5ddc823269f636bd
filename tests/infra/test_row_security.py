"""Two walls between owners, each tested with the other one down.

To see that these tests can fail, each wall was removed from the code once: `user_id == OWNER` in
`app.infra.statements.owner_scope` (the first wall), and `ENABLE ROW LEVEL SECURITY` in
`app.infra.migrations.rls_operations` (the second wall). Each time a test failed.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from app.domain.changes import ChangesToken
from app.domain.commands import Change, Move, Operation, Restore, Trash
from app.domain.errors import DatabaseNotSetUp, TaskChanged, TaskNotFound, TooManyKeys
from app.domain.idempotency import AlreadyDone, ResponseForm, StorageQuota
from app.domain.identity import UserId
from app.domain.position import Position
from app.domain.summary import Day
from app.domain.task import TaskChanges, TaskId
from app.domain.task_list import Bookmark, Order, Page, Selection
from app.infra.migrations.rls_setup import ForeignView
from app.infra.migrations.run import upgrade
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.row_security import TABLES
from app.infra.postgres.row_security_check import _find_leak, find_gaps
from app.infra.postgres.session import Row, Session
from app.infra.statements import keyed_writes, tasks
from app.infra.statements.lists import Shape, page_of
from app.infra.statements.owner_scope import Statement
from app.infra.statements.summary import SUMMARY
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.support.factories import MANY, NOON, TaskFactory, a_task_id, later, someone
from tests.support.keyed import keyed, with_new_key
from tests.support.servers.migrated import migrated_database

pytestmark = pytest.mark.server


async def in_batch(mine: NeonTaskRepository, *operations: Operation) -> None:
    await mine.apply(operations, at=NOON, at_most=MANY)


async def trash_and_restore(mine: NeonTaskRepository, task_id: TaskId) -> None:
    await in_batch(mine, Trash(task_id))
    await in_batch(mine, Restore(task_id))


async def restore(mine: NeonTaskRepository, task_id: TaskId) -> None:
    await mine.trash(task_id, at=NOON)
    await mine.restore(task_id, at=NOON)


async def move(mine: NeonTaskRepository, task_id: TaskId) -> None:
    other = TaskFactory.build(position=Position("V"))
    await mine.add(other, at_most=MANY)
    await mine.move(Move(task_id, other.id, before=True), at=NOON)


async def move_where_there_is_no_room(mine: NeonTaskRepository, task_id: TaskId) -> None:
    others = [TaskFactory.build(position=Position("V")) for _ in range(2)]
    for other in others:
        await mine.add(other, at_most=MANY)
    await mine.move(Move(task_id, min(others, key=lambda other: other.id).id, before=False), at=NOON)


async def batch_with_key(mine: NeonTaskRepository, task_id: TaskId) -> None:
    form = ResponseForm(texts=(b"", b"", b""))
    operations = (TaskFactory.build(), Change(task_id, TaskChanges(title="changed")))
    await with_new_key(mine, form).apply(operations, at=NOON, at_most=MANY)


async def toggle_old_version_with_key(mine: NeonTaskRepository, task_id: TaskId) -> None:
    with pytest.raises(TaskChanged):
        await with_new_key(mine).toggle(task_id, at=NOON, if_match=frozenset({99}))


OPERATIONS: Mapping[str, Callable[[NeonTaskRepository, TaskId], Awaitable[object]]] = {
    "show": lambda mine, task_id: mine.show(task_id),
    "page": lambda mine, task_id: mine.page(1, after=Bookmark(TaskId(UUID(int=task_id.int + 1)))),
    "change": lambda mine, task_id: mine.change(task_id, TaskChanges(title="changed"), at=NOON),
    "toggle": lambda mine, task_id: mine.toggle(task_id, at=NOON),
    "trash": lambda mine, task_id: mine.trash(task_id, at=NOON),
    "restore": restore,
    "purge": lambda mine, task_id: mine.purge(task_id),
    "move": move,
    "move where there is no room": move_where_there_is_no_room,
    "batch: add and change": lambda mine, task_id: in_batch(
        mine, TaskFactory.build(), Change(task_id, TaskChanges(title="changed"))
    ),
    "batch: trash and restore": trash_and_restore,
    "add with a key": lambda mine, _: with_new_key(mine).add(TaskFactory.build(), at_most=MANY),
    "change with a key": lambda mine, task_id: with_new_key(mine).change(
        task_id, TaskChanges(title="changed"), at=NOON
    ),
    "toggle with a key": lambda mine, task_id: with_new_key(mine).toggle(task_id, at=NOON),
    "batch with a key": batch_with_key,
    "refused with a key": toggle_old_version_with_key,
}
"""Every operation on one task, and a page of the list."""

IN_BATCH = [operation for operation in OPERATIONS if operation.startswith("batch")]


class TwoOwners:
    """Ann and Bob, each with two tasks. Their tasks even have the same ids."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ann, self.bob = someone("ann"), someone("bob")
        self.tasks = [TaskFactory.build(title="x") for _ in range(2)]

    def tasks_of(
        self, owner: UserId, connection: "Database | WithoutPredicate | None" = None
    ) -> NeonTaskRepository:
        return NeonTaskRepository(connection or self.database, owner=owner)

    async def add_tasks(self) -> None:
        for owner in (self.ann, self.bob):
            for task in self.tasks:
                await self.tasks_of(owner).add(task, at_most=MANY)

    async def page_of_all(self, owner: UserId) -> Page:
        return await self.tasks_of(owner).page(10, after=None)


class WithoutPredicate:
    """A session that removes the owner predicate from each statement, so the first wall is down."""

    def __init__(self, connection: Session) -> None:
        self._connection = connection
        self.removed = 0  # predicates

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        sql, count = re.subn(r" AND own_\w+\.user_id = \$\d+::\w+", "", statement.sql)
        self.removed += count
        return await self._connection.fetch(Statement(sql, statement.names), values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["WithoutPredicate"]:
        async with self._connection.transaction() as transaction:
            inner = WithoutPredicate(transaction)
            yield inner
            self.removed += inner.removed


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    database = Database(DatabaseAddress.parse(url))
    await database.open()
    yield database
    await database.close()


@asynccontextmanager
async def row_level_security_down(postgres: PostgresServer, database: str) -> AsyncIterator[None]:
    """Disable the row-level security of every table until the block ends."""

    async def alter(action: str) -> None:
        """Run ALTER TABLE in a thread, because it may wait for a lock that a check in this event loop holds."""
        for table in TABLES:
            sql = f"ALTER TABLE {table} {action} ROW LEVEL SECURITY"
            await asyncio.to_thread(postgres.query, sql, database)

    await alter("DISABLE")
    yield
    await alter("ENABLE")


@pytest.fixture(scope="module")
async def database_and_name(postgres: PostgresServer) -> AsyncIterator[tuple[Database, str]]:
    """A database for this module, and its name. The tests take its walls down and put them up."""
    url = await migrated_database(postgres)
    async with open_database(url) as database:
        await database.trouble()  # the first check must pass: before that no statement may run
        yield database, url.rpartition("/")[2]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_without_row_level_security_each_operation_still_affects_only_its_owners_rows(
    postgres: PostgresServer, database_and_name: tuple[Database, str], operation: str
) -> None:
    database, name = database_and_name
    owners = TwoOwners(database)
    await owners.add_tasks()
    bobs = await owners.page_of_all(owners.bob)

    async with row_level_security_down(postgres, name):
        for task in owners.tasks:
            await OPERATIONS[operation](owners.tasks_of(owners.ann), task.id)

        assert await owners.page_of_all(owners.bob) == bobs


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_without_the_owner_predicate_each_operation_still_affects_only_its_owners_rows(
    database_and_name: tuple[Database, str], operation: str
) -> None:
    database, _ = database_and_name
    owners = TwoOwners(database)
    await owners.add_tasks()
    bobs = await owners.page_of_all(owners.bob)
    session = WithoutPredicate(database)

    for task in owners.tasks:
        await OPERATIONS[operation](owners.tasks_of(owners.ann, session), task.id)

    assert session.removed > 0
    assert await owners.page_of_all(owners.bob) == bobs


@pytest.mark.parametrize("wall", ["row-level security", "predicate"])
async def test_with_one_wall_down_no_rows_of_other_people_are_read(
    postgres: PostgresServer, database_and_name: tuple[Database, str], wall: str
) -> None:
    database, name = database_and_name
    owners = TwoOwners(database)
    await owners.add_tasks()
    strangers_tasks = owners.tasks_of(
        someone("cid"), WithoutPredicate(database) if wall == "predicate" else database
    )

    async with row_level_security_down(postgres, name) if wall == "row-level security" else nullcontext():
        pages = [
            await strangers_tasks.page(200, after=None, selection=Selection(order=order)) for order in Order
        ]
        changes = await strangers_tasks.changes(None, limit=200)
        summary = await strangers_tasks.summary(Day.at(NOON, ZoneInfo("UTC")))
        revision = await strangers_tasks.revision()
        operations_with_key = ("change with a key", "toggle with a key")
        for operation in (
            "show",
            "change",
            "toggle",
            "trash",
            "purge",
            "move",
            *operations_with_key,
            *IN_BATCH,
        ):
            with pytest.raises(TaskNotFound):
                await OPERATIONS[operation](strangers_tasks, owners.tasks[0].id)
        with pytest.raises(TaskNotFound):  # NotInTrash would mean that the statement saw the task
            await strangers_tasks.restore(owners.tasks[0].id, at=NOON)

    assert {(page.json, page.revision) for page in pages} == {(b"[]", 0)}
    assert (changes.changes, changes.next, changes.more) == (b"[]", ChangesToken.after_revision(0), False)
    assert (summary.open, summary.done, summary.tags, revision) == (0, 0, (), 0)


@pytest.mark.parametrize("wall", ["row-level security", "predicate"])
async def test_with_one_wall_down_nobody_reads_or_deletes_stored_responses_of_other_people(
    postgres: PostgresServer, database_and_name: tuple[Database, str], wall: str
) -> None:
    database, name = database_and_name
    ann, bob, task = someone("ann"), someone("bob"), TaskFactory.build()
    for owner in (ann, bob):
        await NeonTaskRepository(database, owner=owner).add(task, at_most=MANY)
    bobs = await keyed(database, bob, "key").toggle(task.id, at=NOON)
    counts = f"SELECT kept_answers, kept_bytes FROM task_owners WHERE user_id = '{bob}'"
    counted = postgres.query(counts, name)
    quota_of_two, tomorrow = StorageQuota(responses=2), NOON + timedelta(days=1)

    async with row_level_security_down(postgres, name) if wall == "row-level security" else nullcontext():
        session = WithoutPredicate(database) if wall == "predicate" else database
        before = await keyed(session, ann, "key").toggle(task.id, at=later(1))
        for key in ("key", "other"):  # Bob has a response of the same age for "key"
            await keyed(session, ann, key, at=tomorrow, quota=quota_of_two).toggle(task.id, at=later(2))
        with pytest.raises(TooManyKeys):  # Ann's responses are counted again, and her old ones deleted
            await keyed(session, ann, "third", at=tomorrow, quota=quota_of_two).toggle(task.id, at=later(3))
        await NeonTaskRepository(session, owner=ann).purge(task.id)

    with pytest.raises(AlreadyDone) as again:
        await keyed(database, bob, "key").toggle(task.id, at=later(4))
    assert again.value.response.body == bobs.json
    assert before.version == 2
    assert postgres.query(counts, name) == counted


@pytest.mark.parametrize("wall", ["row-level security", "predicate"])
async def test_with_one_wall_down_nobody_reads_or_deletes_tombstones_of_other_people(
    postgres: PostgresServer, database_and_name: tuple[Database, str], wall: str
) -> None:
    database, name = database_and_name
    ann, bob = someone("ann"), someone("bob")
    deleted, tasks = TaskFactory.build(), [TaskFactory.build() for _ in range(2)]
    for owner in (ann, bob):
        mine = NeonTaskRepository(database, owner=owner)
        for task in (deleted, *tasks):
            await mine.add(task, at_most=MANY)
        await mine.purge(deleted.id)
    postgres.query(
        f"UPDATE ended_tasks SET ended_at = now() - interval '91 days' WHERE user_id IN ('{ann}', '{bob}')",
        name,
    )
    bobs_counts_sql = f"SELECT floor, tombstones, (SELECT count(*) FROM ended_tasks WHERE user_id = '{bob}') FROM task_owners WHERE user_id = '{bob}'"
    before = postgres.query(bobs_counts_sql, name)

    async with row_level_security_down(postgres, name) if wall == "row-level security" else nullcontext():
        anns_tasks = NeonTaskRepository(
            WithoutPredicate(database) if wall == "predicate" else database, owner=ann
        )
        token = (await anns_tasks.changes(None, limit=9)).next
        await anns_tasks.purge(tasks[0].id)
        await anns_tasks.purge(tasks[1].id)
        changes = json.loads((await anns_tasks.changes(token, limit=9)).changes)

    assert changes == [{"id": str(task.id), "task": None} for task in tasks]
    assert postgres.query(bobs_counts_sql, name) == before
    assert before.endswith("|1|1")


async def test_even_a_wrong_statement_cannot_insert_a_row_for_another_owner(
    database_and_name: tuple[Database, str],
) -> None:
    database, _ = database_and_name
    ann, bob = someone("ann"), someone("bob")
    insert = Statement(
        "INSERT INTO own_tasks (user_id, id, title, position) SELECT $2, $3::uuid, 'x', 'x'"
        " WHERE (SELECT set_config('app.user_id', $1, true)) IS NOT NULL",
        ("owner", "other", "task_id"),
    )

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.fetch(insert, {"owner": ann, "other": bob, "task_id": a_task_id()})


@pytest.mark.parametrize(
    "setting", [{}, {"enable_seqscan": "off"}, {"plan_cache_mode": "force_generic_plan"}]
)
async def test_row_level_security_knows_the_owner_in_every_kind_of_plan(
    database_and_name: tuple[Database, str], setting: dict[str, str], postgres: PostgresServer
) -> None:
    database, name = database_and_name
    owners = TwoOwners(database)
    await owners.add_tasks()
    connection = await asyncpg.connect(postgres.url_of(name), server_settings=setting)
    try:
        for number in range(7):  # from the sixth run on PostgreSQL may use a generic plan
            for statement in (
                tasks.SHOW,
                tasks.update_of(("title",)).change,
                tasks.toggle(conditional=False).change,
                tasks.trash(conditional=False).change,
                tasks.restore(conditional=False).change,
                keyed_writes.update_of(("title",), conditional=False),
                keyed_writes.toggle(conditional=False),
                keyed_writes.READ_STATE,
                *(page_of(Shape(order=order.value, descending=False)) for order in Order),
                SUMMARY,
            ):
                values = {
                    "owner": owners.ann,
                    "task_id": owners.tasks[0].id,
                    "title": str(number),
                    "at": NOON,
                }
                values |= {"route": "", "key": str(uuid4()), "fingerprint": b"", "status": 200, "headers": []}
                values |= {"kept_at": NOON, "since": NOON, "responses_at_most": MANY, "bytes_at_most": 10**9}
                values |= {"ids": [owners.tasks[0].id]}
                values |= {"limit": 1, **dict.fromkeys(("now", "today", "day_start", "day_end"), NOON)}
                rows = await connection.fetch(statement.sql, *(values[name] for name in statement.names))
                assert len(rows) == 1
                # If the row were hidden, `shown` would be NULL, and `open` 0.
                assert all(rows[0].get(what, 1) for what in ("shown", "open"))
    finally:
        await connection.close()


async def test_a_statement_runs_for_the_sessions_owner_even_if_a_value_names_another(
    database_and_name: tuple[Database, str],
) -> None:
    ann, bob = someone("ann"), someone("bob")
    bobs = TaskFactory.build()
    await NeonTaskRepository(database_and_name[0], owner=bob).add(bobs, at_most=MANY)

    row = await OwnerSession(database_and_name[0], owner=ann).one(tasks.SHOW, task_id=bobs.id, owner=bob)

    assert row is None


def test_a_session_without_an_owner_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="needs an owner"):
        NeonTaskRepository(WithoutPredicate(None), owner=UserId(""))  # type: ignore[arg-type]


async def test_the_application_role_sees_no_row_until_an_owner_is_set(
    database_and_name: tuple[Database, str], postgres: PostgresServer
) -> None:
    database, name = database_and_name
    owners = TwoOwners(database)
    await owners.add_tasks()
    people = f"'{owners.ann}', '{owners.bob}'"
    seen = f"SELECT count(*) FROM tasks WHERE user_id IN ({people})"

    connection = await asyncpg.connect(postgres.url_of(name))
    try:
        everything = await connection.fetchval(seen)
        await connection.execute("SET ROLE taskward_app")
        nothing = await connection.fetchval(seen)
        await connection.execute(f"SET app.user_id = '{owners.ann}'")
        anns = await connection.fetchval(seen)
    finally:
        await connection.close()

    assert (everything, nothing, anns) == (4, 0, 2)


BREACHES = {
    "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY": "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY": "ALTER TABLE tasks FORCE ROW LEVEL SECURITY",
    "ALTER VIEW own_tasks OWNER TO taskward": "app migrate",
    **{
        f"ALTER VIEW own_tasks SET (security_invoker = {yes})": "ALTER VIEW own_tasks RESET (security_invoker)"
        for yes in ("true", "t", "yes", "on", "1")
    },
    "CREATE TABLE copy AS SELECT * FROM tasks; GRANT SELECT ON copy TO taskward_app;"
    "CREATE OR REPLACE VIEW own_tasks AS SELECT * FROM copy": "DROP VIEW own_tasks",
    "CREATE OR REPLACE VIEW own_tasks AS SELECT * FROM tasks WHERE completed": "DROP VIEW own_tasks",
    "DROP VIEW own_tasks": "app migrate",
    "REVOKE SELECT ON tasks FROM taskward_app": "app migrate",
    "REVOKE ALL ON task_owners FROM taskward_app": "app migrate",
    "REVOKE USAGE ON SCHEMA public FROM public, taskward_app": "app migrate",
    "CREATE POLICY all_of_it ON tasks USING (true)": 'DROP POLICY "all_of_it" ON tasks',
    "CREATE POLICY reading ON tasks FOR SELECT USING (true)": 'DROP POLICY "reading" ON tasks',
    "CREATE POLICY hiding ON tasks AS RESTRICTIVE USING (false)": 'DROP POLICY "hiding" ON tasks',
    "DROP POLICY own_rows ON tasks; CREATE POLICY own_rows ON tasks AS RESTRICTIVE TO taskward_app"
    " USING (user_id = NULLIF(current_setting('app.user_id', true), ''))"
    " WITH CHECK (user_id = NULLIF(current_setting('app.user_id', true), ''))": 'DROP POLICY "own_rows" ON tasks',
    "CREATE RULE nothing AS ON INSERT TO own_tasks DO INSTEAD NOTHING": "DROP VIEW own_tasks",
    "DROP POLICY own_rows ON tasks": "CREATE POLICY own_rows ON tasks TO taskward_app USING",
}
"""Each breach, and how the repair that is reported for it begins."""


async def repair_as_printed(connection: "asyncpg.Connection[asyncpg.Record]", url: str, repair: str) -> None:
    """Run `app migrate` or a statement, whichever the report of a breach names."""
    if repair == "app migrate":
        await upgrade(DatabaseAddress.parse(url))
    else:
        await connection.execute(repair)


@pytest.mark.parametrize("breach", BREACHES, ids=BREACHES)
async def test_migrate_repairs_every_breach_except_views_and_policies_that_are_not_ours(
    postgres: PostgresServer, breach: str
) -> None:
    url = await migrated_database(postgres)
    postgres.query(breach, url.rpartition("/")[2])
    repaired: list[str] = []
    try:
        await upgrade(DatabaseAddress.parse(url), repaired.append)
    except ForeignView as refused:
        assert "own_tasks" in str(refused)  # noqa: PT017 - a view that is not ours is never dropped
        return
    connection = await asyncpg.connect(url)
    try:
        left = await find_gaps(connection)
    finally:
        await connection.close()

    assert left == [] or all(gap.repair.startswith("DROP POLICY") for gap in left)
    assert repaired != [] or left != []


@pytest.mark.parametrize(("breach", "repair"), BREACHES.items(), ids=BREACHES)
async def test_each_breach_of_row_level_security_is_reported_with_the_statement_that_repairs_it(
    postgres: PostgresServer, breach: str, repair: str
) -> None:
    url = await migrated_database(postgres)
    postgres.query(breach, url.rpartition("/")[2])
    connection = await asyncpg.connect(url)
    try:
        found = await find_gaps(connection)
        for gap in found:
            await repair_as_printed(connection, url, gap.repair)
        for gap in await find_gaps(connection):  # after a DROP: that view or policy is missing now
            await repair_as_printed(connection, url, gap.repair)

        assert any(gap.repair.startswith(repair) for gap in found)
        assert await find_gaps(connection) == []
    finally:
        await connection.close()


async def test_given_a_breach_at_the_start_then_no_statement_runs_until_it_is_repaired(
    postgres: PostgresServer,
) -> None:
    url = await migrated_database(postgres)
    name = url.rpartition("/")[2]
    async with open_database(url) as database:
        async with row_level_security_down(postgres, name):
            trouble = await database.trouble()
            assert trouble is not None
            assert "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY" in trouble
            with pytest.raises(DatabaseNotSetUp):
                await TwoOwners(database).add_tasks()

        assert await database.trouble() is None
        await TwoOwners(database).add_tasks()


async def test_a_view_that_shows_rows_without_an_owner_is_detected_by_reading_it(
    postgres: PostgresServer,
) -> None:
    url = await migrated_database(postgres)
    async with open_database(url) as database:
        await TwoOwners(database).add_tasks()
    connection = await asyncpg.connect(url)
    try:
        intact = await _find_leak(connection, "own_tasks")
        postgres.query("ALTER TABLE tasks DISABLE ROW LEVEL SECURITY", url.rpartition("/")[2])
        leaking = await _find_leak(connection, "own_tasks")
    finally:
        await connection.close()

    assert intact == []
    assert [gap.what for gap in leaking] == ["own_tasks shows rows without an owner"]


async def test_the_application_role_may_create_nothing_after_a_migration(postgres: PostgresServer) -> None:
    url = await migrated_database(postgres)
    name = url.rpartition("/")[2]
    postgres.query("ALTER VIEW own_tasks OWNER TO taskward", name)
    await upgrade(DatabaseAddress.parse(url))

    may_create = "SELECT has_schema_privilege('taskward_app', current_schema(), 'CREATE')"

    assert postgres.query(may_create, name) == "f"
