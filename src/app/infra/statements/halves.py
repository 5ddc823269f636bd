"""Lists of what is done and what is not, merged from both halves.

Each order but that of creation has one index, which has `completed` before its key. A list of both reads the
two halves from where they begin, and no further than the page: PostgreSQL merges them without a sort. An
index without `completed` would spare it that, and cost each write more than all else that a write does
(docs/decisions/0005-the-hot-path.md).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, not_, select, union_all

from app.infra.statements.tasks import TASKS


def merged(
    read: Select[Any], *, order: Sequence[str], descending: bool, limit: ColumnElement[int]
) -> Select[Any]:
    """Return the first rows in an order, by names of columns that `read` returns."""
    done = TASKS.c.completed
    parts = (_first(read.where(half), order, descending, limit) for half in (done, not_(done)))
    both = union_all(*parts).subquery("both")
    return _first(select(both), order, descending, limit)


def _first(
    read: Select[Any],
    order: Sequence[str],
    descending: bool,  # noqa: FBT001 - of a list of arguments that is passed on
    limit: ColumnElement[int],
) -> Select[Any]:
    columns = (read.selected_columns[name] for name in order)
    return read.order_by(*(column.desc() if descending else column for column in columns)).limit(limit)
