"""Migrates the database to the newest schema."""

from collections.abc import Callable, Collection
from typing import Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from asyncpg import InternalServerError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.infra.backfill import backfill_derived_columns
from app.infra.migrations.rls_setup import refuse_foreign_views, repair_row_security
from app.infra.migrations.schema_version import VERSION_TABLE
from app.infra.postgres.connector import Connector
from app.infra.postgres.row_security import TABLES
from app.settings.database_address import DatabaseAddress

T = TypeVar("T")

FIRST_DERIVED: Final = "0002"  # computes the derived columns of existing rows by the newest rule
NEW_RULE: Final = "0006"  # from here on, the derived columns follow a new rule
BEFORE_NEW_RULE: Final = "0005"
TABLES_BEFORE: Final = ("task_owners", "tasks", "kept_answers")  # the tables that exist after 0005
ATTEMPTS: Final = 5  # migrations of two databases may change the roles of the cluster at the same time


async def list_waiting(address: DatabaseAddress) -> list[str]:
    """Return the migrations that are not applied, oldest first, each as `revision: description`.

    A database of a newer version (during a deployment) has none waiting.
    """
    scripts = ScriptDirectory.from_config(_config())

    def find_missing(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        applied = set(context.get_current_heads())
        known = {script.revision for script in scripts.walk_revisions()}
        if applied - known:
            return []
        missing = scripts.iterate_revisions("heads", tuple(applied) or "base")
        return [f"{script.revision}: {script.doc}" for script in reversed(list(missing))]

    return await _run_in_transaction(address, find_missing)


async def upgrade(
    address: DatabaseAddress, report: Callable[[str], None] = lambda _: None, *, derive: bool = False
) -> list[str]:
    """Apply and return the waiting migrations, and repair row-level security. `report` gets each repair.

    All of it is one transaction, unless the database is at one of the migrations 0002 to 0005: then the
    migrations up to 0005, a backfill of derived columns, and the rest are separate. `derive` adds a backfill
    at the end. Of two calls at once, the second waits for the first, and finds nothing to do.
    """
    missing = await list_waiting(address)
    revisions = {each.partition(":")[0] for each in missing}
    if NEW_RULE in revisions and FIRST_DERIVED not in revisions:
        await _upgrade(address, report, to=BEFORE_NEW_RULE, tables=TABLES_BEFORE)
        await _derive(address, report, stamp=False)
    await _upgrade(address, report, to="head")
    if derive:
        await _derive(address, report)
    return missing


async def _derive(address: DatabaseAddress, report: Callable[[str], None], *, stamp: bool = True) -> None:
    if count := await backfill_derived_columns(address, stamp=stamp):
        report(f"the keys and words of {count} {'task' if count == 1 else 'tasks'}")


async def _upgrade(
    address: DatabaseAddress, report: Callable[[str], None], *, to: str, tables: Collection[str] = TABLES
) -> None:
    def act(connection: Connection) -> list[str]:
        refuse_foreign_views(connection)
        command.upgrade(_config(connection), to)
        return repair_row_security(connection, tables)

    for each in await _with_retries(address, act):
        report(each)


async def downgrade(address: DatabaseAddress, *, to: str) -> None:
    """Downgrade to a revision, or to `base`. Tables and columns of later revisions lose their data."""
    await _with_retries(address, lambda connection: command.downgrade(_config(connection), to))


async def _with_retries(address: DatabaseAddress, act: Callable[[Connection], T]) -> T:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await _run_in_transaction(address, act)
        except InternalServerError:  # "tuple concurrently updated"
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", "app.infra:migrations")
    return config


async def _run_in_transaction(address: DatabaseAddress, act: Callable[[Connection], T]) -> T:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=Connector(address).connect, poolclass=NullPool
    )
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(act)
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        raise cause or error from None  # the driver's own error: callers expect that
    finally:
        await engine.dispose()
