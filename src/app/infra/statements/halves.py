"""Lists of what is done and what is not, merged from both halves.

Each order but that of creation has one index, which has `completed` before its key. A list of both reads the
two halves from where they begin, and no further than the page: PostgreSQL merges them without a sort. An
index without `completed` would spare it that, and be one more that each write has to write to
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

    def first(rows: Select[Any]) -> Select[Any]:
        columns = (rows.selected_columns[name] for name in order)
        return rows.order_by(*(column.desc() if descending else column for column in columns)).limit(limit)

    halves = (first(read.where(half)) for half in (TASKS.c.completed, not_(TASKS.c.completed)))
    return first(select(union_all(*halves).subquery("both")))
