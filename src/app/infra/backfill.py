"""Maintenance: computes the columns of tasks again that are derived from texts (`app.infra.task_rows`).

After a rule of sort keys, tag keys or search words has changed, older rows are not found before the backfill.
It runs beside the service, and can be interrupted and run again at any time. Each transaction handles a
slice of one owner's tasks within both walls, and locks the owner only if a row differs. If two spellings of a
tag have become one tag, the task keeps the first and gets a new version.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from app.domain.changes import FIRST_ID
from app.domain.identity import UserId
from app.domain.tags import tag_key
from app.domain.task import TaskId
from app.infra.postgres.connect import Connection
from app.infra.postgres.connector import open_connection
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.row_security import MAINTENANCE
from app.infra.postgres.session import Row, Transaction
from app.infra.statements import backfill as statements
from app.infra.statements.owner_scope import Statement
from app.infra.statements.tasks import DERIVED
from app.infra.task_rows import columns
from app.settings.database_address import DatabaseAddress

OWNERS_AT_ONCE: Final = 1000  # read by one query

_OWNERS: Final = "SELECT user_id FROM task_owners WHERE user_id > $1 ORDER BY user_id LIMIT $2"


async def backfill_derived_columns(address: DatabaseAddress, *, stamp: bool = True) -> int:
    """Update the derived columns of each task where they are wrong. Return the number of updated tasks.

    `stamp`: whether the table has the column `revision`, which migration 0007 adds.
    """
    write = statements.WRITE if stamp else statements.WRITE_WITHOUT_REVISION
    async with open_connection(address) as connection:
        return sum([await _backfill_owner(connection, owner, write) async for owner in _owners(connection)])


async def _owners(connection: Connection) -> AsyncIterator[UserId]:
    last = ""
    while True:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {MAINTENANCE}")
            found = await connection.fetch(_OWNERS, last, OWNERS_AT_ONCE)
        for row in found:
            yield row["user_id"]
        if not found:
            return
        last = found[-1]["user_id"]


async def _backfill_owner(connection: Connection, owner: UserId, write: Statement) -> int:
    total, after = 0, TaskId(FIRST_ID)
    while True:
        async with connection.transaction():
            own = OwnerSession(Transaction(connection), owner=owner)
            rows = await own.rows(statements.READ, task_id=after)
            stale = {row["id"]: values for row in rows if (values := _corrections(row))}
            written = []
            if stale:
                # This locks the owner's row, so nobody else writes the tasks.
                (counted,) = await own.rows(statements.INCREMENT_REVISION)
                written = [
                    await own.one(write, task_id=task_id, revision=counted["revision"], **values)
                    for task_id, values in stale.items()
                ]
        total += len(written) - written.count(None)
        if None in written:  # a task was changed after it was read
            continue
        if len(rows) < statements.SLICE:
            return total
        after = rows[-1]["id"]


def _corrections(row: Row) -> dict[str, Any]:
    """Return the version, and the right tags and derived columns; empty if the row has them."""
    spellings: dict[str, str] = {}
    for tag in row["tags"]:
        spellings.setdefault(tag_key(tag), tag)
    tags = list(spellings.values())
    should = {"tags": tags, **columns({name: row[name] for name in statements.SOURCES} | {"tags": tags})}
    if all(row[name] == should[name] for name in ("tags", *DERIVED)):
        return {}
    return {"version": row["version"]} | {name: should[name] for name in ("tags", *DERIVED)}
