"""Checks without Alembic whether the database has the newest schema.

Importing Alembic takes as long as the rest of the start, and only another schema than the newest needs it.
"""

from pathlib import Path
from typing import Final

from asyncpg import InsufficientPrivilegeError, UndefinedTableError

from app.infra.postgres.connect import Connection

VERSION_TABLE: Final = "taskward_version"  # not Alembic's default, which another project may use
_SCRIPTS: Final = Path(__file__).parent / "versions"
LATEST: Final = max(script.stem for script in _SCRIPTS.glob("[0-9]*.py"))
"""The newest migration, by its file: `<revision>_<name>`."""


async def is_current(connection: Connection) -> bool:
    """Return whether the newest migration is applied, and nothing newer. False if that cannot be read."""
    try:
        applied = await connection.fetch(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a name of ours
    except (UndefinedTableError, InsufficientPrivilegeError):
        return False
    return [row["version_num"] for row in applied] == [LATEST.partition("_")[0]]
