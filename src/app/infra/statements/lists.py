"""Statements that read a page of a list: one per shape of list, made at first use.

People choose among thousands of combinations of filters, and SQLAlchemy compiles a statement in milliseconds.
So only templates (for each order and direction, for example) and single filters are compiled. A statement is
put together from their texts in less than 0.1 ms.

A page begins with a row comparison, `(key, id) >= (…)`, so that an index reads only the rows of the page. The
comparison is not strict, and starts at the next id. For `>` PostgreSQL estimates from the first column alone:
after a task of the greatest priority it expects no rows, and picks any index.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from operator import ge, le
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, case, func, literal_column, not_, null, or_, select, tuple_, union_all

from app.domain.task_list import PAGE_BYTES
from app.infra.statements.owner_scope import DIALECT, Statement, compile_sql, number, owner_scope
from app.infra.statements.revision import ONE, OWNERS
from app.infra.statements.task_json import task_json
from app.infra.statements.tasks import ALIVE, TASKS, TRASHED
from app.infra.tables import ORDERS


def merge(
    read: sa.Select[Any], *, order: Sequence[str], descending: bool, limit: sa.ColumnElement[int]
) -> sa.Select[Any]:
    """Return the first rows of `read` in an order, merged from open and completed tasks."""
    parts = (read.where(condition) for condition in (TASKS.c.completed, not_(TASKS.c.completed)))
    return first_rows_of(parts, order=order, descending=descending, limit=limit)


def first_rows_of(
    reads: Iterable[sa.Select[Any]], *, order: Sequence[str], descending: bool, limit: sa.ColumnElement[int]
) -> sa.Select[Any]:
    """Return the first rows of several reads in a common order (Merge Append)."""

    def first(rows: sa.Select[Any]) -> sa.Select[Any]:
        columns = (rows.selected_columns[name] for name in order)
        return rows.order_by(*(column.desc() if descending else column for column in columns)).limit(limit)

    return first(select(union_all(*map(first, reads)).subquery("both")))


LIMIT: Final = bindparam("limit", type_=sa.Integer)  # rows to read: one more than are returned
FIRST: Final = bindparam("first", type_=sa.Uuid)  # the id after the bookmark's, in the direction of the list
ID, DUE = TASKS.c.id, TASKS.c.due_at
# Means a page of more than PAGE_BYTES.
TOO_LARGE: Final = literal_column("'{}'", sa.ARRAY(sa.LargeBinary))
PAGE_BYTES_MAX: Final = number(PAGE_BYTES)
JSON: Final = task_json(TASKS)
SEARCH_BUDGET: Final = 1.0  # seconds; a search may have to read all texts of the owner
READ_MAX: Final = number(10 * PAGE_BYTES)
"""The maximum of bytes that PostgreSQL collects for a page before it finds that the page is too large."""
CONDITIONS: Final[dict[str, sa.ColumnElement[bool]]] = {
    "completed": TASKS.c.completed == bindparam("completed", type_=TASKS.c.completed.type),
    "priority": TASKS.c.priority == bindparam("priority", type_=TASKS.c.priority.type),
    "tags": TASKS.c.tag_keys.contains(bindparam("tags", type_=sa.ARRAY(sa.Text))),
    "due_before": bindparam("due_before", type_=DUE.type) > DUE,
    "due_after": bindparam("due_after", type_=DUE.type) < DUE,
    "without_due": DUE.is_(None),
    "updated_since": TASKS.c.updated_at >= bindparam("updated_since", type_=TASKS.c.updated_at.type),
}


FILTERS: Final = "/* filters */"  # the place of the filters in a template


def _text(condition: sa.ColumnElement[bool]) -> str:
    """Compile a condition. Its value, if it has one, is `$1`."""
    return str(condition.compile(dialect=DIALECT))


def _contains(title: sa.ColumnElement[str], description: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    sought = bindparam("sought", type_=sa.Text)
    places = (func.strpos(text, sought) for text in (title, description))
    return or_(*(place > number(0) for place in places)).self_group()


FILTER_TEXTS: Final = {name: _text(condition) for name, condition in CONDITIONS.items()}
WORD: Final = _text(_contains(TASKS.c.title_words, TASKS.c.description_words))
VERBATIM: Final = _text(_contains(TASKS.c.title, TASKS.c.description))


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a list. All lists of one shape share one statement."""

    order: str = "created"  # a key of `tables.ORDERS`
    descending: bool = True
    trashed: bool = False
    conditions: tuple[str, ...] = ()  # keys of CONDITIONS
    words: int = 0  # the number of search words
    verbatim: bool = False
    after: bool = False  # whether the page begins after a bookmark
    undated: bool = False  # whether that bookmark has no due date


NEWEST_FIRST: Final = Shape()
REVISION: Final = compile_sql(select(OWNERS.c.revision).where(*owner_scope(OWNERS)))


@lru_cache(maxsize=1024)
def page_of(shape: Shape) -> Statement:
    """Return the statement of a shape. It has one row: the page, and where the next page begins.

    If the page has more than PAGE_BYTES, `shown` is `TOO_LARGE`. If a task takes more than its share of
    READ_MAX, `shown` has NULL in its place. In both cases the caller reads again, with fewer tasks. A filter
    by `completed` is part of the template, so that even a generic plan uses the right index.
    """
    filters = _filters_of(shape)
    completed = tuple(name for name in shape.conditions if name == "completed")
    core = replace(shape, conditions=completed, words=0, verbatim=False)
    template = template_of(core, filtered=bool(filters))
    names, texts = list(template.names), []
    for name, text in filters:
        texts.append(text.replace("$1", f"${len(names) + 1}"))
        names += [name] if "$1" in text else []
    sql = template.sql.replace(FILTERS, " AND ".join(texts))
    return Statement(sql, tuple(names), SEARCH_BUDGET if shape.words or shape.verbatim else None)


def _filters_of(shape: Shape) -> list[tuple[str, str]]:
    """Return each filter of a shape except `completed`: the name of its value, and its SQL with `$1`."""
    words = [(f"word{number}", WORD) for number in range(shape.words)]
    verbatim = [("verbatim", VERBATIM)] if shape.verbatim else []
    return [(name, FILTER_TEXTS[name]) for name in shape.conditions if name != "completed"] + words + verbatim


@cache
def template_of(core: Shape, *, filtered: bool) -> Statement:
    """Compile the statement of a shape without its filters. If `filtered`, FILTERS replaces them."""
    revision = select(OWNERS.c.revision).where(*owner_scope(OWNERS)).scalar_subquery()
    parts = [_part(core, conditions, filtered=filtered) for conditions in _parts(core)]
    whole = parts[0] if len(parts) == 1 else union_all(*parts).limit(LIMIT)
    found = whole.subquery("found")
    last = LIMIT - ONE  # one more than the page is read, to tell whether there is a next
    shown = func.array_agg(found.c.json, type_=sa.ARRAY(sa.LargeBinary))
    too_large = func.pg_column_size(shown) > PAGE_BYTES_MAX
    return compile_sql(
        select(
            func.coalesce(revision, number(0)).label("revision"),
            case((too_large, TOO_LARGE), else_=shown).label("shown"),
            func.array_agg(found.c.id)[last].label("last_id"),
            *(func.array_agg(column)[last].label("last_key") for column in found.c if column.name == "key"),
        )
    )


def _part(core: Shape, conditions: list[sa.ColumnElement[bool]], *, filtered: bool) -> sa.Select[Any]:
    key = TASKS.c[ORDERS[core.order]]
    path = [ID] if key is ID else [key, ID]
    too_long = func.octet_length(TASKS.c.description) * LIMIT > READ_MAX
    json = case((too_long, null()), else_=JSON).label("json")
    read = select(ID, *(column.label("key") for column in path[:-1]), json).where(
        *owner_scope(TASKS),
        TRASHED if core.trashed else ALIVE,
        *(CONDITIONS[name] for name in core.conditions),
        *([literal_column(FILTERS, sa.Boolean)] if filtered else []),
        *conditions,
    )
    if key is ID or core.trashed or core.conditions:
        return read.order_by(*(column.desc() if core.descending else column for column in path)).limit(LIMIT)
    return merge(read, order=("key", "id"), descending=core.descending, limit=LIMIT)


def _parts(core: Shape) -> list[list[sa.ColumnElement[bool]]]:
    """Return the conditions of each part of the list that the page may read, in the order of the list.

    Only a list by due date has two parts: tasks with a date, then tasks without. PostgreSQL reads the second
    part only if the first one does not fill the page.
    """
    beyond = le if core.descending else ge
    key = TASKS.c[ORDERS[core.order]]
    after_id = [beyond(ID, FIRST)] if core.after else []
    bookmark = tuple_(bindparam("key", type_=key.type), FIRST)
    after_key = [beyond(tuple_(key, ID), bookmark)] if core.after else []
    if key is ID:
        return [after_id]
    if key is not DUE:
        return [after_key]
    if core.undated:
        return [[DUE.is_(None), *after_id]]
    return [[DUE.is_not(None), *after_key], [DUE.is_(None)]]
