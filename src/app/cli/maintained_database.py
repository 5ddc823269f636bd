"""The database that `app migrate` and `app purge` change: its address, named before anything happens."""

import sys

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
