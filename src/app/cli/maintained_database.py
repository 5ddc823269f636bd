"""The database that `app migrate`, `purge` and `resync` change. Its address is printed before any change."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from asyncpg import PostgresError

from app.cli.connection_errors import connection_error, unfit_role, unreachable
from app.infra.postgres.connect import means_unreachable
from app.infra.purge import CannotPurge, expect_purge_possible
from app.settings import SettingsError, read_database
from app.settings.database_address import DatabaseAddress, difference
from app.settings.environment import EnvironmentReader, environment


def read_maintained_database(verb: str) -> DatabaseAddress:
    """Return the address for maintenance, and name it on standard error.

    Raises:
        SettingsError: an address is missing or invalid.
    """
    reader = EnvironmentReader(environment())
    database, direct = read_database(reader)
    if reader.errors or database is None or direct is None:
        raise SettingsError(reader.errors)
    place = f"{direct.database} on {direct.host}:{direct.port}"
    print(f"app {verb}: the database is {place} ({direct.setting})", file=sys.stderr)
    if warning := difference(database, direct):
        print(f"warning: {warning}", file=sys.stderr)
    return direct


def maintain(verb: str, work: Callable[[DatabaseAddress], Coroutine[Any, Any, int]], *, outcome: str) -> int:
    """Run work of the maintenance role and return its result.

    An error ends the process with one message. `outcome` says what was done if the database is unreachable.
    """

    async def work_if_possible() -> int:
        await expect_purge_possible(address)
        return await work(address)

    address = read_maintained_database(verb)
    try:
        return asyncio.run(work_if_possible())
    except CannotPurge as error:
        sys.exit(f"app {verb}: {error}")
    except (OSError, TimeoutError, PostgresError) as error:
        if means_unreachable(error):
            message = connection_error(address, error) or f"{outcome}, {unreachable(address, error)}"
            sys.exit(f"app {verb}: {message}")
        remedy = "set DATABASE_URL_DIRECT to the address of the role that runs `app migrate`"
        sys.exit(f"app {verb}: {unfit_role(address, error, remedy) or error}")
