"""Tasks as JSON, written by PostgreSQL. A task that is only shown does not become an object first.

This is the hot path (docs/decisions/0005-the-hot-path.md has the figures). The shape is that of
`app.api.task_fields`; `tests/contracts/` compares the two.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Any, Final

from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    case,
    cast,
    func,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.expression import FromClause

from app.domain.task import Priority, Task
from app.infra.statements.owner_scope import DIALECT
from app.infra.tables import TaskRow

MOMENT: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'  # RFC 3339, in UTC, always to the microsecond
DAY: Final = "YYYY-MM-DD"
MEMBERS: Final = ("id", "user_id", *(name for name in Task.__slots__ if name != "id"))


def task_json(tasks: FromClause) -> ColumnElement[bytes]:
    """Return the expression of a task as clients see it: a JSON object in UTF-8.

    It is compiled to text here, and only once. It is most of each statement of a list.
    """
    return _written(_task(tasks))


def change_json(tasks: FromClause) -> ColumnElement[bytes]:
    """Return the expression of a task as a change: a JSON object in UTF-8."""
    return _written(_object({"id": _member(tasks, "id"), "task": _task(tasks)}))


def tombstone_json(ended: FromClause) -> ColumnElement[bytes]:
    """Return the expression of a task that was deleted permanently as a change."""
    return _written(_object({"id": _json(ended.c.id), "task": _constant("null")}))


def _written(text: ColumnElement[str]) -> ColumnElement[bytes]:
    encoded = func.convert_to(text, _constant("UTF8"))
    return literal_column(str(encoded.compile(dialect=DIALECT)), LargeBinary)


def _task(tasks: FromClause) -> ColumnElement[str]:
    return _object({name: _member(tasks, name) for name in MEMBERS})


def _member(tasks: FromClause, name: str) -> ColumnElement[str]:
    match name:
        case "due":
            day, moment = (_utc(tasks.c.due_at, form) for form in (DAY, MOMENT))
            return _or_null(_quoted(case((tasks.c.due_whole_day, day), else_=moment)))
        case "priority":
            return case(*((tasks.c.priority == _number(level), _quoted_name(level)) for level in Priority))
    value = _json(tasks.c[name])
    return _or_null(value) if TaskRow.__table__.columns[name].nullable else value


def _object(members: Mapping[str, ColumnElement[str]]) -> ColumnElement[str]:
    parts: list[ColumnElement[str]] = []
    opening = "{"
    for name, value in members.items():
        parts += [_constant(f'{opening}"{name}":'), value]
        opening = ","
    return _joined([*parts, _constant("}")])


def _json(value: ColumnElement[Any]) -> ColumnElement[str]:
    """Write a value; NULL stays NULL."""
    match value.type:
        case Uuid():
            return _quoted(cast(value, Text))
        case Boolean() | Integer():
            return cast(value, Text)
        case DateTimeUTC():
            return _quoted(_utc(value, MOMENT))
        case Text() | ARRAY():
            return cast(func.to_json(value), Text)
    raise TypeError(f"{value} is of a type that has no JSON here yet")


def _number(priority: Priority) -> ColumnElement[int]:
    return literal_column(str(priority.value))


def _quoted_name(priority: Priority) -> ColumnElement[str]:
    return _constant(f'"{priority.name.lower()}"')


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
