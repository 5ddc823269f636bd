"""`app resync`: after a restore, let every client read all changes again."""

import argparse
import asyncio
import sys
from typing import Any

from asyncpg import PostgresError

from app.cli.connection_errors import connection_error, unfit_role, unreachable
from app.cli.maintained_database import read_maintained_database
from app.infra.postgres.connect import means_unreachable
from app.infra.purge import CannotPurge, expect_purge_possible
from app.infra.resync import raise_revisions
from app.settings.database_address import DatabaseAddress


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "resync",
        help="after a restore: let every client read all changes again",
        description="Make every token of changes and every ETag of a list invalid, and print the number of "
        "people. Run it after a database was restored, and after a rolling upgrade from a version without "
        "changes. It may run beside the service, and twice. Uses DATABASE_URL_DIRECT, or DATABASE_URL "
        "without `-pooler`.",
    )
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    """Run the verb; return its exit status."""
    address = read_maintained_database("resync")
    try:
        count = asyncio.run(_resync(address))
    except CannotPurge as error:
        sys.exit(f"app resync: {error}")
    except (OSError, TimeoutError, PostgresError) as error:
        if means_unreachable(error):
            message = connection_error(address, error) or f"nothing is sure, {unreachable(address, error)}"
            sys.exit(f"app resync: {message}: run it again")
        remedy = "set DATABASE_URL_DIRECT to the address of the role that runs `app migrate`"
        sys.exit(f"app resync: {unfit_role(address, error, remedy) or error}")
    print(f"the changes of {count} {'person' if count == 1 else 'people'} begin again")
    return 0


async def _resync(address: DatabaseAddress) -> int:
    await expect_purge_possible(address)
    return await raise_revisions(address)
