"""Two walls between owners, each tested with the other one down.

How each test was seen to fail: `user_id == OWNER` taken out of `app.infra.owned._walls` (first wall), and
`ENABLE ROW LEVEL SECURITY` taken out of `app.infra.migrations.walls` (second wall).
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import asyncpg
import pytest

from app.domain.identity import UserId
from app.infra.database import Database
from app.infra.migrate import upgrade
from app.infra.owned import OwnedRepository, Row, Statement
from app.infra.rows import TaskRow
from app.infra.wall import gaps
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.factories import NOON, a_task_id, someone

pytestmark = pytest.mark.server

VALUES: Mapping[str, object] = {"title": "x", "created_at": NOON, "updated_at": NOON}
CHANGE: Mapping[str, object] = {"title": "changed", "updated_at": NOON}
VERBS = ["find", "show", "newest", "newest_after", "update", "toggle", "delete"]


class Planted:
    """Ann and Bob, each with two tasks; they even share the ids."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ann, self.bob = someone("ann"), someone("bob")
        self.ids = sorted([a_task_id(), a_task_id()])

    def of(self, owner: UserId, connection: "Database | WithoutPredicate | None" = None) -> OwnedRepository:
        return OwnedRepository(connection or self.database, TaskRow, owner=owner)

    async def plant(self) -> None:
        for owner in (self.ann, self.bob):
            for task_id in self.ids:
                await self.of(owner).insert(task_id, VALUES)

    async def titles_of(self, owner: UserId) -> list[str]:
        rows = await self.of(owner).newest(10, after=None)
        return [json.loads(row["shown"])["title"] for row in rows]


class WithoutPredicate:
    """A connection that takes the owner's predicate out of every statement: the first wall down."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.taken_out = 0

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        sql, count = re.subn(r" AND own_tasks\.user_id = \$\d+::\w+", "", statement.sql)
        self.taken_out += count
        return await self._database.fetch(Statement(sql, statement.names), values)


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    database = Database(DatabaseAddress.parse(url))
    await database.open()
    yield database
    await database.close()


@contextmanager
def row_level_security_down(postgres: PostgresServer, database: str) -> Iterator[None]:
    postgres.query("ALTER TABLE tasks DISABLE ROW LEVEL SECURITY", database)
    yield
    postgres.query("ALTER TABLE tasks ENABLE ROW LEVEL SECURITY", database)


async def act(repository: OwnedRepository, verb: str, ids: Sequence[UUID]) -> int:
    """Do one verb to every row that can be named, and return how many rows were met."""
    match verb:
        case "find" | "show":
            read = repository.find if verb == "find" else repository.show
            return sum([await read(row_id) is not None for row_id in ids])
        case "newest":
            return len(await repository.newest(10, after=None))
        case "newest_after":
            return len(await repository.newest(10, after=UUID(int=2**128 - 1)))
        case "update":
            return sum([await repository.update(row_id, CHANGE) is not None for row_id in ids])
        case "toggle":
            return sum(
                [await repository.update(row_id, CHANGE, negate="completed") is not None for row_id in ids]
            )
        case _:
            return sum([await repository.delete(row_id) for row_id in ids])


@pytest.fixture(scope="module")
async def own(postgres: PostgresServer) -> AsyncIterator[tuple[Database, str]]:
    """A database of this module's own, whose walls are taken down and put up."""
    url = postgres.new_database()
    await upgrade(DatabaseAddress.parse(url))
    async with open_database(url) as database:
        await database.trouble()  # the wall is looked at once, while it stands
        yield database, url.rpartition("/")[2]


@pytest.mark.parametrize("verb", VERBS)
async def test_with_row_level_security_down_each_verb_still_meets_its_owners_rows_only(
    postgres: PostgresServer, own: tuple[Database, str], verb: str
) -> None:
    database, name = own
    planted = Planted(database)
    await planted.plant()

    with row_level_security_down(postgres, name):
        met = await act(planted.of(planted.ann), verb, planted.ids)

        assert met == 2
        assert await planted.titles_of(planted.bob) == ["x", "x"]


@pytest.mark.parametrize("verb", VERBS)
async def test_with_the_predicate_taken_out_each_verb_still_meets_its_owners_rows_only(
    own: tuple[Database, str], verb: str
) -> None:
    database, _ = own
    planted = Planted(database)
    await planted.plant()
    blind = WithoutPredicate(database)

    met = await act(planted.of(planted.ann, blind), verb, planted.ids)

    assert met == 2
    assert blind.taken_out > 0
    assert await planted.titles_of(planted.bob) == ["x", "x"]


async def test_a_row_cannot_be_planted_with_another_owner_even_by_a_wrong_statement(
    own: tuple[Database, str],
) -> None:
    database, _ = own
    ann, bob = someone("ann"), someone("bob")
    insert = Statement(
        "INSERT INTO own_tasks (user_id, id, title) SELECT $2, $3::uuid, 'x'"
        " WHERE (SELECT set_config('app.user_id', $1, true)) IS NOT NULL",
        ("owner", "other", "row"),
    )

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.fetch(insert, {"owner": ann, "other": bob, "row": a_task_id()})


@pytest.mark.parametrize(
    "setting", [{}, {"enable_seqscan": "off"}, {"plan_cache_mode": "force_generic_plan"}]
)
async def test_the_wall_knows_the_owner_in_time_whatever_the_plan(
    own: tuple[Database, str], setting: dict[str, str], postgres: PostgresServer
) -> None:
    database, name = own
    planted = Planted(database)
    await planted.plant()
    connection = await asyncpg.connect(postgres.url_of(name), server_settings=setting)
    try:
        for statement in (
            planted.of(planted.ann)._sql.find,
            planted.of(planted.ann)._sql.update(("title",), ""),
        ):
            for _ in range(7):  # beyond the fifth PostgreSQL may plan for any value
                values = {"owner": planted.ann, "row": planted.ids[0], "title": "x"}
                rows = await connection.fetch(statement.sql, *(values[name] for name in statement.names))
                assert len(rows) == 1
    finally:
        await connection.close()


@pytest.mark.parametrize("names", [("user_id",), ("id",), ("title", "user_id")])
async def test_given_owner_or_id_among_the_values_then_it_is_refused(
    own: tuple[Database, str], names: tuple[str, ...]
) -> None:
    mine = OwnedRepository(own[0], TaskRow, owner=someone())
    values = dict.fromkeys(names, "x")

    for attempt in (mine.insert(a_task_id(), values), mine.update(a_task_id(), values)):
        with pytest.raises(ValueError, match="never changes hands"):
            await attempt


def test_nobody_owns_nothing() -> None:
    with pytest.raises(ValueError, match="needs an owner"):
        OwnedRepository(WithoutPredicate(None), TaskRow, owner=UserId(""))  # type: ignore[arg-type]


async def test_the_login_role_sees_nothing_as_the_application_role_until_it_says_whose(
    own: tuple[Database, str], postgres: PostgresServer
) -> None:
    database, name = own
    planted = Planted(database)
    await planted.plant()
    people = f"'{planted.ann}', '{planted.bob}'"
    seen = f"SELECT count(*) FROM tasks WHERE user_id IN ({people})"

    connection = await asyncpg.connect(postgres.url_of(name))
    try:
        everything = await connection.fetchval(seen)
        await connection.execute("SET ROLE taskward_app")
        nothing = await connection.fetchval(seen)
        await connection.execute(f"SET app.user_id = '{planted.ann}'")
        hers = await connection.fetchval(seen)
    finally:
        await connection.close()

    assert (everything, nothing, hers) == (4, 0, 2)


BREACHES = {
    "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY": "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY": "ALTER TABLE tasks FORCE ROW LEVEL SECURITY",
    "ALTER VIEW own_tasks OWNER TO taskward": "ALTER VIEW own_tasks OWNER TO taskward_app",
    "ALTER VIEW own_tasks SET (security_invoker = true)": "ALTER VIEW own_tasks RESET (security_invoker)",
    "CREATE POLICY all_of_it ON tasks USING (true)": 'DROP POLICY "all_of_it" ON tasks',
    "CREATE POLICY reading ON tasks FOR SELECT USING (true)": 'DROP POLICY "reading" ON tasks',
    "DROP POLICY own_rows ON tasks": "CREATE POLICY own_rows ON tasks TO taskward_app USING",
}


@pytest.mark.parametrize(("breach", "mend"), BREACHES.items(), ids=BREACHES)
async def test_a_breach_in_the_wall_is_told_with_the_statement_that_mends_it(
    postgres: PostgresServer, breach: str, mend: str
) -> None:
    url = postgres.new_database()
    await upgrade(DatabaseAddress.parse(url))
    postgres.query("GRANT CREATE ON SCHEMA public TO taskward_app", url.rpartition("/")[2])
    postgres.query(breach, url.rpartition("/")[2])
    connection = await asyncpg.connect(url)
    try:
        found = await gaps(connection)
        for gap in found:
            await connection.execute(gap.mend)

        assert any(gap.mend.startswith(mend) for gap in found)
        assert await gaps(connection) == []
    finally:
        await connection.close()


async def test_given_a_breach_then_nothing_is_served_until_it_is_mended(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    await upgrade(DatabaseAddress.parse(url))
    name = url.rpartition("/")[2]
    async with open_database(url) as database:
        with row_level_security_down(postgres, name):
            trouble = await database.trouble()
            assert trouble is not None
            assert "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY" in trouble

        assert await database.trouble() is None
