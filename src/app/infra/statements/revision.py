"""A write increments its owner's revision, in the same statement.

The owner's row is locked before any task, so two writes of one person cannot deadlock. The revision shows
readers that something changed. A count, or the latest time of change, could stay the same when an older
transaction commits late.
"""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, literal_column, update

from app.infra.statements.owner_scope import Statement, compile_sql, insert_own, number, owner_scope, view_of
from app.infra.tables import TaskOwnerRow

OWNERS: Final = view_of(TaskOwnerRow)
ONE: Final = number(1)
RESYNC_STEP: Final = 2**32
"""What `app resync` adds to revisions: more than the writes of one owner between a backup and its restore."""
TASKS_MAX: Final = bindparam("at_most", type_=sa.Integer)
START: Final = literal_column("(extract(epoch FROM now()) * 1000000)::bigint", sa.BigInteger)
"""The first revision of an owner, and the first floor: microseconds since 1970.

A database that was restored may have lost an owner. The new revisions of that owner then begin above all lost
ones, so older tokens and entity tags are not valid.
"""


def _lock_owner() -> Statement:
    same = {"revision": OWNERS.c.revision}
    new = insert_own(OWNERS, {"revision": START, "floor": START, "tasks": number(0)})
    held = new.on_conflict_do_update(index_elements=[OWNERS.c.user_id], set_=same)
    return compile_sql(held.returning(OWNERS.c.tasks, OWNERS.c.kept_answers))


LOCK_OWNER: Final = _lock_owner()
"""Locks the owner's row, and makes it if it is missing. No other write of this owner runs until COMMIT."""


def count_new_task() -> sa.CTE:
    """Return the CTE that counts a new task. It returns no row if the list is full."""
    return _counted(tasks=OWNERS.c.tasks + ONE, where=OWNERS.c.tasks < TASKS_MAX)


def count_change(condition: sa.ColumnElement[bool]) -> sa.CTE:
    """Return the CTE that counts a change, if the condition holds."""
    return _counted(condition, tasks=OWNERS.c.tasks)


def _counted(*conditions: sa.ColumnElement[bool], tasks: sa.ColumnElement[int], where: Any = None) -> sa.CTE:
    new = insert_own(OWNERS, {"revision": START, "floor": START, "tasks": ONE}, *conditions)
    counted = new.on_conflict_do_update(
        index_elements=[OWNERS.c.user_id],
        set_={"revision": OWNERS.c.revision + ONE, "tasks": tasks},
        where=where,
    )
    return counted.returning(OWNERS.c.revision).cte("counted")


def update_owner(values: Mapping[str, sa.ColumnElement[Any]], *conditions: sa.ColumnElement[bool]) -> sa.CTE:
    """Return the CTE that changes the owner's row, if the conditions hold. It returns the revision."""
    change = update(OWNERS).values(dict(values)).where(*owner_scope(OWNERS), *conditions)
    return change.returning(OWNERS.c.revision).cte("counted")
