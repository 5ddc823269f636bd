"""Deriving anew what follows from texts (`app.infra.task_rows`), for all owners: maintenance, not a request.

Keys and words are compared, never shown, and are made when a text is written. Where the rule by which they
are made has changed, rows of before are not found until they are derived anew.

It runs beside the service. Each slice is a transaction within both walls that holds one owner, and only
where something differs, so it can end at any moment and begin again: what is done does not differ any more.
A task in two spellings of what is one tag now keeps the first of them, and is a new version.
"""

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

from app.domain.identity import UserId
from app.domain.tags import tag_key
from app.domain.task import TaskId
from app.infra.postgres.connect import Connection
from app.infra.postgres.connector import Connector
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.row_security import MAINTENANCE
from app.infra.postgres.session import Row, Transaction
from app.infra.statements.backfill import COUNT, READ, SLICE, SOURCES, WRITE
from app.infra.statements.tasks import DERIVED
from app.infra.task_rows import columns
from app.settings.database_address import DatabaseAddress

OWNERS_AT_ONCE: Final = 1000
FIRST: Final = TaskId(UUID(int=0))

_OWNERS: Final = "SELECT user_id FROM task_owners WHERE user_id > $1 ORDER BY user_id LIMIT $2"


async def backfill_derived_columns(address: DatabaseAddress) -> int:
    """Derive keys and words of every task anew where they differ; return of how many tasks they did."""
    connection = await Connector(address).connect()
    try:
        return sum([await _owner(connection, owner) async for owner in _owners(connection)])
    finally:
        await connection.close()


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


async def _owner(connection: Connection, owner: UserId) -> int:
    total, after = 0, FIRST
    while True:
        async with connection.transaction():
            own = OwnerSession(Transaction(connection), owner=owner)
            rows = await own.rows(READ, row=after)
            stale = {row["id"]: values for row in rows if (values := _differing(row))}
            if stale:
                await own.rows(COUNT)  # takes the owner's row: nobody else writes their tasks meanwhile
            written = [await own.one(WRITE, row=task_id, **values) for task_id, values in stale.items()]
        total += len(written) - written.count(None)
        if None in written:  # changed after it was read
            continue
        if len(rows) < SLICE:
            return total
        after = rows[-1]["id"]


def _differing(row: Row) -> dict[str, Any]:
    """Return what a row should be where it is not."""
    tags = list({tag_key(tag): tag for tag in reversed(row["tags"])}.values())[::-1]
    should = {"tags": tags, **columns({name: row[name] for name in SOURCES} | {"tags": tags})}
    if all(row[name] == should[name] for name in ("tags", *DERIVED)):
        return {}
    return {"version": row["version"]} | {name: should[name] for name in ("tags", *DERIVED)}
