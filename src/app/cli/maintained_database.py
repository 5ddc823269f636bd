"""The database that `app migrate`, `purge` and `resync` change. Its address is printed before any change."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

from asyncpg import PostgresError

from app.cli.connection_errors import connection_error, explain_unfit_role, explain_unreachable
from app.infra.postgres.connect import means_unreachable
from app.infra.purge import CannotPurge, expect_purge_possible
from app.settings import SettingsError, read_database
from app.settings.database_address import DatabaseAddress, difference
from app.settings.environment import EnvironmentReader, environment
from app.settings.live import read_live
from app.settings.rate_limits import read_rate_limits

STORE_PATIENCE: Final = 5.0  # seconds to reach the store of announcements


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
    """Run `work` and return its count. If it is not 0, make all event streams read the feed.

    An error ends the process with one message. `outcome` says what was done if the database is unreachable.
    """

    async def work_if_possible() -> int:
        await expect_purge_possible(address)
        return await work(address)

    address = read_maintained_database(verb)
    try:
        count = asyncio.run(work_if_possible())
    except CannotPurge as error:
        sys.exit(f"app {verb}: {error}")
    except (OSError, TimeoutError, PostgresError) as error:
        if means_unreachable(error):
            message = connection_error(address, error) or f"{outcome}, {explain_unreachable(address, error)}"
            sys.exit(f"app {verb}: {message}")
        remedy = "set DATABASE_URL_DIRECT to the address of the role that runs `app migrate`"
        sys.exit(f"app {verb}: {explain_unfit_role(address, error, remedy) or error}")
    if count:
        _announce()
    return count


def _announce() -> None:
    """Make all event streams read the feed, if machines announce changes to each other."""
    from app.infra.live_store import announce_everyone  # noqa: PLC0415 - few deployments need a Redis client

    reader = EnvironmentReader(environment())
    live = read_live(reader, read_rate_limits(reader))
    if live.store is not None:
        trouble = asyncio.run(announce_everyone(live.store, live.store_ca, STORE_PATIENCE))
        if trouble is not None:
            print(f"warning: event streams were not notified: {trouble}", file=sys.stderr)
