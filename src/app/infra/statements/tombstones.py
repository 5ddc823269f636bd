"""Tombstones: rows that tell clients which tasks were deleted permanently.

They are kept for 90 days, at most 10,000 for one owner. Each permanent deletion drops some of those beyond
these limits, and raises the owner's floor to the last of them.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, delete, func, literal_column, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, Insert

from app.domain.changes import LAST_ID
from app.infra.statements.owner_scope import Statement, compile_sql, insert_own, number, owner_scope, view_of
from app.infra.statements.revision import ONE, OWNERS, update_owner
from app.infra.tables import EndedTaskRow

ENDED: Final = view_of(EndedTaskRow)
TOMBSTONES_MAX: Final = 10_000  # of one owner
DAYS_MAX: Final = 90  # after that a tombstone may be dropped
DROPPED_AT_ONCE: Final = 100  # at most, besides as many as are added: so old ones run out

_AGE_MAX: Final = literal_column(f"interval '{DAYS_MAX} days'", sa.Interval)


def drop_old(new: sa.ColumnElement[int], *conditions: sa.ColumnElement[bool]) -> sa.CTE:
    """Return the CTE that drops the oldest tombstones, before a number of new ones is written.

    The owner's row must be locked, and must not have changed since the statement began.
    """
    place, mine = (ENDED.c.revision, ENDED.c.id), owner_scope(ENDED)
    stored = select(OWNERS.c.tombstones).where(*owner_scope(OWNERS)).scalar_subquery()
    too_many = stored + new > number(TOMBSTONES_MAX)
    oldest = select(ENDED.c.ended_at).where(*mine).order_by(*place).limit(ONE).scalar_subquery()
    too_old_since = func.now() - _AGE_MAX
    needed = select(or_(too_many, oldest < too_old_since).label("needed")).cte("needed")
    # PostgreSQL does not know this number when it plans, so it expects to read few rows, and takes the index.
    at_most = select(new + number(DROPPED_AT_ONCE)).scalar_subquery()
    next_place = select(*place).where(*mine).order_by(*place).offset(at_most).limit(ONE)
    end = select(number(2**63 - 1, sa.BigInteger), literal_column(f"'{LAST_ID}'", sa.Uuid))
    kept = sa.union_all(select(next_place.subquery("next")), end).limit(ONE)
    return (
        delete(ENDED)
        .where(*mine, tuple_(*place) < kept.scalar_subquery(), select(needed.c.needed).scalar_subquery())
        .where(or_(too_many, ENDED.c.ended_at < too_old_since), *conditions)
        .returning(ENDED.c.revision)
        .cte("dropped")
    )


def counts_after(dropped: sa.CTE, new: sa.ColumnElement[int]) -> dict[str, Any]:
    """Return the owner's floor and number of tombstones, after old ones are dropped and new ones written."""
    last = select(func.coalesce(func.max(dropped.c.revision), number(0, sa.BigInteger)))
    gone = select(func.count()).select_from(dropped).scalar_subquery()
    return {
        "floor": func.greatest(OWNERS.c.floor, last.scalar_subquery()),
        "tombstones": OWNERS.c.tombstones + new - gone.cast(sa.Integer),
    }


def insert_for(task_id: sa.ColumnElement[Any], counted: sa.CTE) -> Insert:
    """Return the INSERT of tombstones of these tasks at the revision that was counted."""
    values = {"revision": counted.c.revision, "id": task_id}
    return insert_own(ENDED, values, counted.c.revision.is_not(None))


def _write() -> Statement:
    ids = bindparam("ids", type_=ARRAY(sa.Uuid))
    new = func.cardinality(ids)
    counted = update_owner(counts_after(drop_old(new), new))
    return compile_sql(insert_for(func.unnest(ids), counted))


WRITE: Final = _write()
"""Writes tombstones of tasks at the owner's current revision. The owner's row must be locked."""
