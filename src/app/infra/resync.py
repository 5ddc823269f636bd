"""Maintenance: makes every token of changes and every entity tag of a list invalid.

A database that was restored from a backup would later reach revisions that clients already know, with other
changes. So all revisions are raised above those from before the restore. The next change of a task skips some
versions for the same reason (`app.infra.statements.tasks.stamps_of`).
"""

from typing import Final

from app.infra.postgres.connector import open_connection
from app.infra.postgres.row_security import MAINTENANCE
from app.infra.statements.revision import RESYNC_STEP
from app.settings.database_address import DatabaseAddress

BATCH: Final = 1000  # owners in one transaction

_RAISE: Final = """
WITH owners AS (
    SELECT user_id FROM task_owners WHERE user_id > $1 ORDER BY user_id LIMIT $2 FOR UPDATE
)
UPDATE task_owners SET revision = revision + $3, floor = revision + $3
FROM owners WHERE task_owners.user_id = owners.user_id
RETURNING task_owners.user_id
"""


async def raise_revisions(address: DatabaseAddress) -> int:
    """Raise every owner's revision, and set the floor to it. Return the number of owners."""
    async with open_connection(address) as connection:
        total, last = 0, ""
        while True:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL ROLE {MAINTENANCE}")
                raised = [row["user_id"] for row in await connection.fetch(_RAISE, last, BATCH, RESYNC_STEP)]
            if not raised:
                return total
            total, last = total + len(raised), max(raised, key=str.encode)  # the collation compares bytes
