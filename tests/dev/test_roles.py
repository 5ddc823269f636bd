"""Under `make run` Better Auth, the API and its migrations have database roles of their own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from app.infra.migrations.run import upgrade
from app.settings.database_address import DatabaseAddress
from dev.postgres import LOGIN, PostgresServer
from dev.roles import AUTH, AUTH_TABLES, SERVING, prepare_auth, prepare_serving

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL that an older `make run` set up, after two starts of the current `make run`."""
    folder = tmp_path_factory.mktemp("roles")
    server = PostgresServer(folder, durable=False)
    try:
        server.start()
        make_older(server, folder)
        server.restart()
        for _ in range(2):
            prepare_auth(server)
            asyncio.run(upgrade(DatabaseAddress.parse(server.url)))
            prepare_serving(server)
        yield server
    finally:
        server.remove()


def make_older(server: PostgresServer, folder: Path) -> None:
    """Bring the server to the state of an older version: one password, and Better Auth's tables in `public`.

    Each of these tables has a row.
    """
    password = (folder / "postgres.password").read_text()
    server.query(f"ALTER ROLE {LOGIN} PASSWORD '{password}'", stdin=True)
    (folder / f"{LOGIN}.password").unlink()
    for table in AUTH_TABLES:
        server.query(
            f'CREATE TABLE "{table}" (id text PRIMARY KEY); ALTER TABLE "{table}" OWNER TO {LOGIN};'
            f"""INSERT INTO "{table}" VALUES ('kept')""",
            LOGIN,
        )


async def query_as(server: PostgresServer, role: str, sql: str) -> object:
    connection = await asyncpg.connect(server.url_of(LOGIN, role=role))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.mark.parametrize("table", AUTH_TABLES)
async def test_tables_of_an_older_installation_become_better_auths_and_the_api_cannot_read_them(
    server: PostgresServer, table: str
) -> None:
    assert await query_as(server, AUTH, f'SELECT id FROM "{table}"') == "kept"
    with pytest.raises(asyncpg.UndefinedTableError):
        await query_as(server, SERVING, f'SELECT id FROM "{table}"')
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query_as(server, SERVING, f'SELECT id FROM {AUTH}."{table}"')


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM public.tasks",
        "SELECT count(*) FROM public.own_tasks",
        f"SET ROLE {SERVING}",
        "SET ROLE taskward_app",
        f"SET ROLE {LOGIN}",
        f"GRANT {SERVING} TO {AUTH}",
        "CREATE ROLE somebody",
        "CREATE TABLE public.tasks_of_others ()",
    ],
)
async def test_the_role_of_better_auth_can_neither_read_tasks_nor_gain_rights(
    server: PostgresServer, sql: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query_as(server, AUTH, sql)


@pytest.mark.parametrize(
    "sql", [f"SET ROLE {AUTH}", "SET ROLE taskward_app", f"SET ROLE {LOGIN}", "SELECT * FROM tasks"]
)
async def test_the_role_of_the_api_can_neither_become_another_role_nor_read_the_table_of_tasks(
    server: PostgresServer, sql: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query_as(server, SERVING, sql)


async def test_the_role_of_the_api_reads_the_view_of_tasks_and_has_a_statement_timeout(
    server: PostgresServer,
) -> None:
    assert await query_as(server, SERVING, "SELECT count(*) FROM own_tasks") == 0
    assert await query_as(server, SERVING, "SHOW statement_timeout") == "5s"


async def test_each_role_has_its_own_password_and_a_wrong_one_is_refused(server: PostgresServer) -> None:
    addresses = [
        DatabaseAddress.parse(server.url_of(LOGIN, role=role)) for role in (LOGIN, AUTH, SERVING, "postgres")
    ]

    assert len({address.password for address in addresses}) == len(addresses)
    for address in addresses:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host="127.0.0.1", port=server.port, user=address.user, password="guess", database=LOGIN
            )
