"""Maintenance: deletes old trash and old stored responses of all owners.

Row-level security hides every row from a statement without an owner, so these statements run as a maintenance
role. Its policies show only the trash, the counts of owners, and responses older than a day. Each transaction
locks a batch of owners before their tasks and responses, as every write does.
"""

from datetime import datetime
from typing import Final

from app.domain.identity import UserId
from app.domain.task import TaskId
from app.infra.migrations.schema_version import VERSION_TABLE
from app.infra.postgres.connect import Connection
from app.infra.postgres.connector import open_connection
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.row_security import MAINTENANCE, maintenance_is_set_up
from app.infra.postgres.session import Transaction
from app.infra.statements import idempotency, tombstones
from app.settings.database_address import DatabaseAddress

BATCH: Final = 200  # owners in one transaction
RESPONSES_BATCH: Final = 20  # owners in one transaction that deletes responses: each may have thousands
PIECE: Final = 1_000  # tasks of one statement; each statement drops tombstones beyond their limit

_LOCK_OWNERS: Final = """
SELECT user_id FROM task_owners WHERE user_id IN (
    SELECT DISTINCT user_id FROM tasks WHERE trashed_at < $1 ORDER BY user_id LIMIT $2
) ORDER BY user_id FOR UPDATE
"""
_DELETE_TASKS: Final = """
WITH gone AS (
    DELETE FROM tasks WHERE user_id = ANY($1) AND trashed_at < $2 RETURNING user_id, id
), counted AS (
    UPDATE task_owners SET revision = revision + 1, tasks = task_owners.tasks - ended.tasks
    FROM (SELECT user_id, count(*) AS tasks FROM gone GROUP BY user_id) AS ended
    WHERE task_owners.user_id = ended.user_id
)
SELECT user_id, array_agg(id) AS ids FROM gone GROUP BY user_id
"""
# Requests of an owner also delete old responses, and lock the owner's row first, as this statement does.
_DELETE_RESPONSES: Final = """
WITH owners AS (
    SELECT user_id FROM task_owners WHERE user_id IN (
        SELECT DISTINCT user_id FROM kept_answers ORDER BY user_id LIMIT $1
    ) ORDER BY user_id FOR UPDATE
)
DELETE FROM kept_answers WHERE user_id IN (SELECT user_id FROM owners)
"""


class CannotPurge(Exception):
    """The maintenance role, its policies or its grants are missing, so a purge would find nothing."""


async def expect_purge_possible(address: DatabaseAddress) -> None:
    """Raise CannotPurge if a purge would silently delete nothing."""
    async with open_connection(address) as connection:
        if not await connection.fetchval(f"SELECT to_regclass('{VERSION_TABLE}') IS NOT NULL"):
            raise CannotPurge("the database has no tables of Taskward yet: run `app migrate`")
        async with connection.transaction(readonly=True):
            await connection.execute("SET LOCAL intervalstyle = 'postgres'")  # as the policies are written
            is_set_up = await connection.fetchval(f"SELECT {maintenance_is_set_up()}")
        if not is_set_up:
            raise CannotPurge(
                f"{MAINTENANCE} lacks policies or grants, or other policies hide rows from it:"
                " run `app migrate`"
            )


async def purge_trash(address: DatabaseAddress, *, before: datetime) -> int:
    """Delete every task that was moved to the trash before a time. Return the number of tasks."""
    async with open_connection(address) as connection:
        total = 0
        while True:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL ROLE {MAINTENANCE}")
                owners = [row["user_id"] for row in await connection.fetch(_LOCK_OWNERS, before, BATCH)]
                if not owners:
                    return total
                deleted = await connection.fetch(_DELETE_TASKS, owners, before)
                await connection.execute("SET LOCAL ROLE NONE")
                for row in deleted:
                    await _write_tombstones(connection, row["user_id"], row["ids"])
            total += sum(len(row["ids"]) for row in deleted)


async def _write_tombstones(connection: Connection, owner: UserId, ids: list[TaskId]) -> None:
    """Write tombstones, and empty the stored responses that show deleted tasks, within both walls."""
    transaction = OwnerSession(Transaction(connection), owner=owner)
    for begin in range(0, len(ids), PIECE):
        piece = ids[begin : begin + PIECE]
        await transaction.rows(tombstones.WRITE, ids=piece)
        await transaction.rows(
            idempotency.EMPTY_RESPONSES, ids=piece, patterns=[f"%{task_id}%" for task_id in piece]
        )


async def delete_old_responses(address: DatabaseAddress) -> None:
    """Delete stored responses that have expired. A request with a key also deletes those of its owner."""
    async with open_connection(address) as connection:
        deleted = ""
        while deleted != "DELETE 0":
            async with connection.transaction():
                await connection.execute(f"SET LOCAL ROLE {MAINTENANCE}")
                deleted = await connection.execute(_DELETE_RESPONSES, RESPONSES_BATCH)
