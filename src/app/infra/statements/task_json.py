"""Tasks as JSON, written by PostgreSQL: what is only going to be read need not become objects first.

This is the hot path (docs/decisions/0005-the-hot-path.md has the figures). The shape is that of
`app.api.schemas.Task`; `tests/contracts/` holds the two equal.
"""

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any, Final

from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    LargeBinary,
    Text,
    Uuid,
    case,
    cast,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.expression import TableClause

from app.domain.task import Priority
from app.infra.statements.owner_scope import DIALECT

MOMENT: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'  # RFC 3339, in UTC, always to the microsecond
DAY: Final = "YYYY-MM-DD"


def task_json(tasks: TableClause) -> ColumnElement[bytes]:
    """Return the expression of a task as people see it: a JSON object in UTF-8.

    It is written out at once: each shape of list has a statement of its own, and this is most of it.
    """
    column = tasks.c
    written = _object(
        id=_json(column.id),
        user_id=_json(column.user_id),
        title=_json(column.title),
        description=_json(column.description),
        completed=_json(column.completed),
        due=_or_null(
            _quoted(case((column.due_whole_day, _utc(column.due_at, DAY)), else_=_utc(column.due_at, MOMENT)))
        ),
        priority=case(
            *(
                (
                    column.priority == literal_column(str(level.value)),
                    _constant(f'"{level.name.lower()}"'),
                )
                for level in Priority
            )
        ),
        tags=_json(column.tags),
        position=_json(column.position),
        version=_json(column.version),
        created_at=_json(column.created_at),
        updated_at=_json(column.updated_at),
        completed_at=_json(column.completed_at),
        trashed_at=_json(column.trashed_at),
    )
    return literal_column(str(written.compile(dialect=DIALECT)), LargeBinary)


def _object(**members: ColumnElement[str]) -> ColumnElement[bytes]:
    parts: list[ColumnElement[str]] = []
    opening = "{"
    for name, value in members.items():
        parts += [_constant(f'{opening}"{name}":'), value]
        opening = ","
    return func.convert_to(_joined([*parts, _constant("}")]), _constant("UTF8"))


def _json(value: ColumnElement[Any]) -> ColumnElement[str]:
    """Write a value. Only texts and moments may be NULL."""
    match value.type:
        case Uuid():
            return _quoted(cast(value, Text))
        case Boolean() | BigInteger():
            return cast(value, Text)
        case DateTimeUTC():
            return _or_null(_quoted(_utc(value, MOMENT)))
        case Text() | ARRAY():
            return _or_null(cast(func.to_json(value), Text))
    raise TypeError(f"{value} is of a type that has no JSON here yet")


def _utc(moment: ColumnElement[Any], form: str) -> ColumnElement[str]:
    return func.to_char(func.timezone(_constant("UTC"), moment), _constant(form))


def _or_null(text: ColumnElement[str]) -> ColumnElement[str]:
    return func.coalesce(text, _constant("null"))


def _quoted(text: ColumnElement[str]) -> ColumnElement[str]:
    return _joined([_constant('"'), text, _constant('"')])


def _joined(texts: Iterable[ColumnElement[str]]) -> ColumnElement[str]:
    return reduce(add, texts)


def _constant(text: str) -> ColumnElement[str]:
    """Write a text of ours into the statement."""
    return literal_column(f"'{text}'", Text)
