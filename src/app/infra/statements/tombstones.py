"""Tombstones: rows that tell clients which tasks were deleted permanently.

They live 90 days, and there are at most 10,000 an owner. Each permanent deletion drops some old ones, and
raises the owner's floor to the last of them.
"""

from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    Insert,
    Integer,
    Interval,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger

from app.domain.changes import LAST_ID
from app.infra.statements.owner_scope import OWNER, compile_sql, owner_scope, set_owner, view_of
from app.infra.statements.revision import OWNERS
from app.infra.tables import EndedTaskRow

ENDED: Final = view_of(EndedTaskRow)
TOMBSTONES_MAX: Final = 10_000  # of one owner
DAYS: Final = 90
DROPPED_AT_ONCE: Final = 100  # more than one deletion adds, so old ones run out

_AGE_MAX: Final = literal_column(f"interval '{DAYS} days'", Interval)


def _number(value: int) -> ColumnElement[int]:
    return literal_column(str(value), Integer)


def drop_old(new: ColumnElement[int], *conditions: ColumnElement[bool]) -> CTE:
    """Return the CTE that drops the oldest tombstones, before a number of new ones is written.

    The owner's row must be locked, and must not have changed since the statement began.
    """
    place, mine = (ENDED.c.revision, ENDED.c.id), owner_scope(ENDED)
    there = select(OWNERS.c.tombstones).where(*owner_scope(OWNERS)).scalar_subquery()
    too_many = there + new > _number(TOMBSTONES_MAX)
    oldest = select(ENDED.c.ended_at).where(*mine).order_by(*place).limit(_number(1)).scalar_subquery()
    too_old_since = func.now() - _AGE_MAX
    needed = select(or_(too_many, oldest < too_old_since).label("needed")).cte("needed")
    # PostgreSQL does not know this number when it plans, so it expects to read few rows, and takes the index.
    at_most = select(new + _number(DROPPED_AT_ONCE)).scalar_subquery()
    next_place = select(*place).where(*mine).order_by(*place).offset(at_most).limit(_number(1))
    end = select(literal_column("9223372036854775807", BigInteger), literal_column(f"'{LAST_ID}'", Uuid))
    kept = union_all(select(next_place.subquery("next")), end).limit(_number(1))
    return (
        delete(ENDED)
        .where(*mine, tuple_(*place) < kept.scalar_subquery(), select(needed.c.needed).scalar_subquery())
        .where(or_(too_many, ENDED.c.ended_at < too_old_since), *conditions)
        .returning(ENDED.c.revision)
        .cte("dropped")
    )


def counts_after(dropped: CTE, new: ColumnElement[int]) -> dict[str, Any]:
    """Return the owner's floor and number of tombstones, after old ones are dropped and new ones written."""
    last = select(func.coalesce(func.max(dropped.c.revision), literal_column("0", BigInteger)))
    gone = select(func.count()).select_from(dropped).scalar_subquery()
    return {
        "floor": func.greatest(OWNERS.c.floor, last.scalar_subquery()),
        "tombstones": OWNERS.c.tombstones + new - gone.cast(Integer),
    }


def insert_for(task_id: ColumnElement[Any], counted: CTE) -> Insert:
    """Return the INSERT of tombstones at the revision that was counted."""
    values = {"user_id": OWNER, "revision": counted.c.revision, "id": task_id}
    source = select(*(value.label(name) for name, value in values.items())).where(
        set_owner(), counted.c.revision.is_not(None)
    )
    return insert(ENDED).from_select(list(values), source)


def _write() -> Any:
    ids = bindparam("ids", type_=ARRAY(Uuid))
    new = func.cardinality(ids)
    dropped = drop_old(new)
    counted = update(OWNERS).values(counts_after(dropped, new)).where(*owner_scope(OWNERS))
    return compile_sql(insert_for(func.unnest(ids), counted.returning(OWNERS.c.revision).cte("counted")))


WRITE: Final = _write()
"""Writes tombstones of tasks at the owner's current revision. The owner's row must be locked."""
