"""`app migrate`: migrate the database to the newest schema, and repair its row-level security."""

import argparse
import asyncio
import sys
from typing import Any, Final

from alembic.util import CommandError
from asyncpg import DuplicateTableError, PostgresError

from app.cli.connection_errors import connection_error, explain_unfit_role, explain_unreachable, quote_role
from app.cli.maintained_database import read_maintained_database
from app.infra.migrations import run as migrate
from app.infra.migrations.rls_setup import CannotRepair
from app.infra.postgres.connect import means_unreachable
from app.infra.postgres.connector import open_connection
from app.infra.postgres.row_security import APP, MAINTENANCE
from app.infra.postgres.row_security_check import find_gaps
from app.settings import SettingsError
from app.settings.database_address import DatabaseAddress

EXIT_WAITING: Final = 3  # exit status of `--check`


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "migrate",
        help="apply the migrations that are waiting",
        description="Apply the migrations that are waiting, in one transaction. From a database at 0002 to"
        " 0005 they are two, and in between what searches, tag filters and the order by title need is"
        " computed, in several. Uses DATABASE_URL_DIRECT, or DATABASE_URL without `-pooler`.",
    )
    parser.add_argument(
        "--check", action="store_true", help="only list what is waiting; exit status 3 if any"
    )
    parser.add_argument(
        "--derive",
        action="store_true",
        help="also recompute what searches, tag filters and the order by title need, where it is wrong:"
        " use it once the previous version is gone, or after a change of Python's minor version",
    )
    parser.add_argument(
        "--down-to", metavar="REVISION", help="go back to a revision, or `base`: DELETES DATA"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the verb; return its exit status."""
    address = read_maintained_database("migrate")
    try:
        return asyncio.run(_migrate(address, arguments))
    except (CommandError, CannotRepair) as error:
        sys.exit(f"app migrate: {error}")
    except (OSError, TimeoutError, PostgresError) as error:
        unfit = None if arguments.check else _explain_role(address, error)
        raise SettingsError([unfit or _explain(address, error)]) from error


def _explain_role(address: DatabaseAddress, error: Exception) -> str | None:
    user = quote_role(address)
    if "create role" in str(error):
        return explain_unfit_role(address, error, f"run ALTER ROLE {user} CREATEROLE")
    if 'role "' in str(error):
        grant = f"GRANT {APP}, {MAINTENANCE} TO {user}"
        return explain_unfit_role(
            address, error, f"use the role that created these roles, or have that role run {grant}"
        )
    return explain_unfit_role(address, error, "use the role that owns the database and its tables")


def _explain(address: DatabaseAddress, error: Exception) -> str:
    if message := connection_error(address, error):
        return message
    if isinstance(error, DuplicateTableError):
        return (
            f"{address.setting} names a database in which another program has tables with names of"
            f" Taskward's tables: {error}"
        )
    if isinstance(error, PostgresError) and not means_unreachable(error):
        return (
            f"{address.setting} names a database that refuses a migration: {error} {error.hint or ''}".strip()
        )
    return f"the database cannot be reached, {explain_unreachable(address, error)}: try again"


async def _migrate(address: DatabaseAddress, arguments: argparse.Namespace) -> int:
    if arguments.check:
        waiting = await migrate.list_waiting(address)
        print(*waiting, sep="\n", end="\n" if waiting else "")
        return EXIT_WAITING if waiting else 0
    if arguments.down_to:
        await migrate.downgrade(address, to=arguments.down_to)
        return 0
    repaired: list[str] = []
    applied = await migrate.upgrade(address, repaired.append, derive=arguments.derive)
    for line in applied:
        print(f"applied {line}")
    for line in repaired:
        print(f"repaired {line}")
    async with open_connection(address) as connection:
        found = await find_gaps(connection)
    for gap in found:
        print(f"not repaired: {gap}", file=sys.stderr)
    if not (applied or repaired or found):
        print("nothing is waiting")
    return 1 if found else 0
