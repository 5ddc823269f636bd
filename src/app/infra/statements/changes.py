"""The statement that reads a page of changes.

It reads four ranges, each from the page's place on by its own index: open, completed and trashed tasks, and
tombstones. PostgreSQL merges them. Revision, floor and changes are of one snapshot.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, case, func, not_, null, select, tuple_

from app.infra.statements.lists import LIMIT, PAGE_BYTES_MAX, TOO_LARGE, first_rows_of
from app.infra.statements.owner_scope import Statement, beside, compile_sql, owner_scope
from app.infra.statements.revision import ONE, OWNERS
from app.infra.statements.task_json import change_json, tombstone_json
from app.infra.statements.tasks import ALIVE, DERIVED, TASKS, TRASHED
from app.infra.statements.tombstones import ENDED

COLUMNS: Final = tuple(c.name for c in TASKS.c if c.name not in DERIVED)
"""The columns that each range reads. JSON is built once, from the merged rows: its expression is large, and
PostgreSQL prepares each copy of it at each run."""


def _column_of_tombstone(name: str) -> sa.ColumnElement[Any]:
    if name in ENDED.c:
        return ENDED.c[name]
    return null().cast(TASKS.c[name].type).label(name)


def _page() -> Statement:
    place = tuple_(TASKS.c.revision, TASKS.c.id)
    from_place = place >= tuple_(
        bindparam("revision", type_=sa.BigInteger), bindparam("first", type_=sa.Uuid)
    )
    tasks = select(*(TASKS.c[name] for name in COLUMNS)).where(*owner_scope(TASKS), from_place)
    from_tombstone = tuple_(ENDED.c.revision, ENDED.c.id) >= tuple_(
        bindparam("ended_revision", type_=sa.BigInteger), bindparam("ended_first", type_=sa.Uuid)
    )
    ended = select(*(_column_of_tombstone(name) for name in COLUMNS))
    ranges = (
        tasks.where(ALIVE, not_(TASKS.c.completed)),
        tasks.where(ALIVE, TASKS.c.completed),
        tasks.where(TRASHED),
        ended.where(*owner_scope(ENDED), from_tombstone),
    )
    found = first_rows_of(ranges, order=("revision", "id"), descending=False, limit=LIMIT).subquery("found")
    json = case((found.c.title.is_(None), tombstone_json(found)), else_=change_json(found))
    shown = func.array_agg(json, type_=sa.ARRAY(sa.LargeBinary))
    last = LIMIT - ONE  # one more than the page is read, to tell whether there is a next
    page = select(
        case((func.pg_column_size(shown) > PAGE_BYTES_MAX, TOO_LARGE), else_=shown).label("shown"),
        func.array_agg(found.c.revision)[last].label("last_revision"),
        func.array_agg(found.c.id)[last].label("last_id"),
    )
    return compile_sql(beside(_STATE.cte("owner"), page.cte("page")))


_STATE: Final = select(OWNERS.c.revision, OWNERS.c.floor).where(*owner_scope(OWNERS))
STATE: Final = compile_sql(_STATE)
"""The owner's `revision` and `floor`; no row: the owner has never written."""

PAGE: Final = _page()
"""One row: the owner's `revision` and `floor`, the place of the page's last change, and the changes `shown`.

`shown` has one change more than the page if there are more. NULL: no change. `TOO_LARGE`: too many bytes.
"""
