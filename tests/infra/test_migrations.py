"""The migrated schema is what the models say, and nothing else in the database is touched."""

import ast
import asyncio
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from app.infra.migrations import versions
from app.infra.migrations.run import (
    _config,
    _run_in_transaction,
    _with_retries,
    downgrade,
    list_waiting,
    upgrade,
)
from app.infra.migrations.schema_version import VERSION_TABLE, is_current
from app.infra.postgres.connect import connect, driver_arguments
from app.infra.tables import OwnedRow
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.support.servers.service import app

pytestmark = pytest.mark.server


MIGRATIONS = [
    f"{script.stem[:4]}: {(ast.get_docstring(ast.parse(script.read_text())) or '').splitlines()[0]}"
    for script in sorted(Path(versions.__file__).parent.glob("[0-9]*.py"))
]

WITHOUT_ROW_LEVEL_SECURITY = """
SELECT c.relname FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity
           AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
           AND has_table_privilege('taskward_app', c.oid, 'SELECT')
           AND has_table_privilege('taskward_app', c.oid, 'INSERT')
           AND has_table_privilege('taskward_app', c.oid, 'UPDATE')
           AND has_table_privilege('taskward_app', c.oid, 'DELETE'))
"""


async def migrate_new_database(postgres: PostgresServer) -> DatabaseAddress:
    address = DatabaseAddress.parse(postgres.new_database())
    await upgrade(address)
    return address


def differences(connection: Connection) -> list[Any]:
    """Return the differences between the schema and the models. Other tables in the database do not count."""
    ours = {VERSION_TABLE, *OwnedRow.metadata.tables}

    def is_ours(thing: Any, name: str | None, kind: str, *_: Any) -> bool:
        return kind != "table" or name in ours

    options = {
        "version_table": VERSION_TABLE,
        "include_object": is_ours,
        "compare_type": True,
        "compare_server_default": True,
    }
    found = compare_metadata(MigrationContext.configure(connection, opts=options), OwnedRow.metadata)
    return list(found)


async def test_the_migrated_schema_equals_that_of_the_models(postgres: PostgresServer) -> None:
    address = await migrate_new_database(postgres)

    assert await _run_in_transaction(address, differences) == []


async def test_a_difference_between_schema_and_models_is_detected(postgres: PostgresServer) -> None:
    address = await migrate_new_database(postgres)
    postgres.query("ALTER TABLE tasks ADD extra text, ALTER description SET NOT NULL", address.database)

    assert len(await _run_in_transaction(address, differences)) == 2


async def test_every_table_with_an_owner_has_row_level_security(postgres: PostgresServer) -> None:
    address = await migrate_new_database(postgres)
    connection = await asyncpg.connect(postgres.url_of(address.database))
    try:
        assert await connection.fetch(WITHOUT_ROW_LEVEL_SECURITY) == []
        await connection.execute("CREATE TABLE forgotten (user_id text)")
        assert [row["relname"] for row in await connection.fetch(WITHOUT_ROW_LEVEL_SECURITY)] == ["forgotten"]
    finally:
        await connection.close()


async def test_a_second_upgrade_does_nothing_and_downgrade_and_upgrade_work(postgres: PostgresServer) -> None:
    address = DatabaseAddress.parse(postgres.new_database())

    assert await list_waiting(address) == MIGRATIONS
    assert await upgrade(address) == MIGRATIONS
    assert await upgrade(address) == await list_waiting(address) == []
    await downgrade(address, to="base")
    assert await upgrade(address) == MIGRATIONS
    assert await _run_in_transaction(address, differences) == []


async def test_tables_of_other_programs_survive_upgrade_and_downgrade(
    postgres: PostgresServer,
) -> None:
    address = DatabaseAddress.parse(postgres.new_database())
    postgres.query(
        """CREATE TABLE "user" (id text); CREATE TABLE alembic_version (version_num text);
           INSERT INTO alembic_version VALUES ('theirs'); CREATE SCHEMA other; CREATE TABLE other.tasks (x int)""",
        address.database,
    )
    neighbour = await migrate_new_database(postgres)

    await upgrade(address)
    await downgrade(address, to="base")

    listed = """SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY schemaname, tablename)
                FROM pg_tables WHERE schemaname IN ('public', 'other')"""
    left = postgres.query(listed, address.database)
    assert left == f"other.tasks public.alembic_version public.{VERSION_TABLE} public.user"
    assert postgres.query("SELECT version_num FROM alembic_version", address.database) == "theirs"
    assert await _run_in_transaction(neighbour, differences) == []
    assert postgres.query("SELECT 1 FROM pg_roles WHERE rolname = 'taskward_app'") == "1"


async def test_a_database_of_a_newer_version_has_no_pending_migrations(postgres: PostgresServer) -> None:
    address = await migrate_new_database(postgres)
    postgres.query(f"UPDATE {VERSION_TABLE} SET version_num = '9999'", address.database)

    assert await list_waiting(address) == []


async def test_a_schema_is_current_only_if_the_newest_migration_is_applied_and_its_version_is_readable(
    postgres: PostgresServer,
) -> None:
    address = DatabaseAddress.parse(postgres.new_database())
    connection = await connect(address)
    try:
        empty = await is_current(connection)
        await upgrade(address)
        newest = await is_current(connection)
        await downgrade(address, to="-1")
        older = await is_current(connection)
        await connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
        ahead = await is_current(connection)
        await connection.execute(f"REVOKE ALL ON {VERSION_TABLE} FROM CURRENT_USER")
        hidden = await is_current(connection)
    finally:
        await connection.close()

    assert newest
    assert not any((empty, older, ahead, hidden))


async def test_concurrent_migrations_are_safe_in_one_database_and_in_two(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    urls = [postgres.new_database(), postgres.new_database()] * 3

    processes = await asyncio.gather(
        *(asyncio.to_thread(app, "migrate", env={"DATABASE_URL": url}, cwd=tmp_path) for url in urls)
    )

    assert [process.returncode for process in processes] == [0] * 6
    for url in urls[:2]:
        assert await _run_in_transaction(DatabaseAddress.parse(url), differences) == []


COLUMNS = """
SELECT table_name || '.' || column_name, data_type, is_nullable = 'YES', column_default IS NOT NULL
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> $1
"""


class Column(NamedTuple):
    """A column of a table."""

    kind: str  # the type
    nullable: bool
    has_default: bool


async def columns(address: DatabaseAddress) -> dict[str, Column]:
    """Return each column, by the names of its table and its own."""
    connection = await asyncpg.connect(**driver_arguments(address))
    try:
        rows = await connection.fetch(COLUMNS, VERSION_TABLE)
    finally:
        await connection.close()
    return {row[0]: Column(row[1], row[2], row[3]) for row in rows}


async def test_each_migration_only_expands_so_that_the_previous_version_still_works(
    postgres: PostgresServer,
) -> None:
    address = DatabaseAddress.parse(postgres.new_database())
    violations: list[str] = []
    before: dict[str, Column] = {}
    for migration in MIGRATIONS:
        revision = migration.partition(":")[0]
        await _with_retries(address, partial(upgrade_to, revision=revision))
        after = await columns(address)
        violations += [f"{revision}: {name} is gone" for name in before.keys() - after.keys()]
        for name, column in after.items():
            if name not in before:
                is_new_table = not any(known.startswith(name.partition(".")[0] + ".") for known in before)
                if not (column.nullable or column.has_default or is_new_table):
                    violations.append(
                        f"{revision}: {name} is required, and the previous version does not write it"
                    )
            elif before[name].kind != column.kind or (before[name].nullable and not column.nullable):
                violations.append(f"{revision}: {name} accepts fewer values than before")
        before = after

    # This migration is older than the first release. It shows that the test finds a violation.
    assert violations == ["0002: tasks.position is required, and the previous version does not write it"]


def upgrade_to(connection: Connection, *, revision: str) -> None:
    command.upgrade(_config(connection), revision)
