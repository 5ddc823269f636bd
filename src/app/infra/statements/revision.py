"""A write increments its owner's revision, in the same statement.

The owner's row is locked before any task. Another write of that person waits for it, so two writes cannot
deadlock. The revision shows readers that something changed. A count, or the latest time of change, could stay
the same when an older transaction commits late.
"""

from typing import Any, Final

from sqlalchemy import CTE, BigInteger, ColumnElement, Integer, bindparam, literal_column, select
from sqlalchemy.dialects.postgresql import Insert, insert

from app.infra.statements.owner_scope import OWNER, Statement, compile_sql, set_owner, view_of
from app.infra.tables import TaskOwnerRow

OWNERS: Final = view_of(TaskOwnerRow)
ONE: Final = literal_column("1", Integer)
RESYNC_STEP: Final = 2**32
"""What `app resync` adds to revisions: more than the writes of one owner between a backup and its restore."""
TASKS_MAX: Final = bindparam("at_most", type_=Integer)
START: Final = literal_column("(extract(epoch FROM now()) * 1000000)::bigint", BigInteger)
"""The first revision of an owner, and the first floor: microseconds since 1970.

A database that was restored may have lost an owner. The new revisions of that owner then begin above all lost
ones, so older tokens and entity tags are not valid.
"""


def _insert_owner(tasks: ColumnElement[int], *conditions: ColumnElement[bool]) -> Insert:
    """Return the INSERT of an owner's row."""
    values: dict[str, ColumnElement[Any]] = {
        "user_id": OWNER,
        "revision": START,
        "floor": START,
        "tasks": tasks,
    }
    row = select(*(value.label(name) for name, value in values.items())).where(set_owner(), *conditions)
    return insert(OWNERS).from_select(list(values), row)


def _lock_owner() -> Statement:
    nothing = literal_column("0", Integer)
    new = _insert_owner(nothing)
    same = {"revision": OWNERS.c.revision}
    held = new.on_conflict_do_update(index_elements=[OWNERS.c.user_id], set_=same)
    return compile_sql(held.returning(OWNERS.c.tasks, OWNERS.c.kept_answers))


LOCK_OWNER: Final = _lock_owner()
"""Locks the owner's row, and makes it if it is missing. No other write of this owner runs until COMMIT."""


def count_new_task() -> CTE:
    """Return the CTE that counts a new task. It returns no row if the list is full."""
    return _counted(tasks=OWNERS.c.tasks + ONE, while_=OWNERS.c.tasks < TASKS_MAX)


def count_change(condition: ColumnElement[bool]) -> CTE:
    """Return the CTE that counts a change, if the condition holds."""
    return _counted(condition, tasks=OWNERS.c.tasks)


def _counted(*conditions: ColumnElement[bool], tasks: ColumnElement[int], while_: Any = None) -> CTE:
    columns = OWNERS.c
    return (
        _insert_owner(ONE, *conditions)
        .on_conflict_do_update(
            index_elements=[columns.user_id],
            set_={"revision": columns.revision + ONE, "tasks": tasks},
            where=while_,
        )
        .returning(columns.revision)
        .cte("counted")
    )
