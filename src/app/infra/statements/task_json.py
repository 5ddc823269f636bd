"""Tasks as JSON, written by PostgreSQL. A task that is only shown does not become a Python object.

This is the hot path (docs/decisions/0005-the-hot-path.md has the reasons). `app.api.task_fields` describes
the members; `tests/contracts/` compares this JSON with JSON that Python builds.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Any, Final

import sqlalchemy as sa
from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import case, cast, func, literal_column

from app.domain.task import Priority, Task
from app.infra.statements.owner_scope import DIALECT, constant, number
from app.infra.tables import TaskRow

MOMENT_FORMAT: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'  # RFC 3339, in UTC, always to the microsecond
DAY_FORMAT: Final = "YYYY-MM-DD"
MEMBERS: Final = ("id", "user_id", *(name for name in Task.__slots__ if name != "id"))


def task_json(tasks: sa.FromClause) -> sa.ColumnElement[bytes]:
    """Return the expression of a task as clients see it: a JSON object in UTF-8.

    It is compiled to text only once, here, because it is most of the text of each list statement.
    """
    return _compile(_task(tasks))


def change_json(tasks: sa.FromClause) -> sa.ColumnElement[bytes]:
    """Return the expression of a task as a change: a JSON object in UTF-8."""
    return _compile(_object({"id": _member(tasks, "id"), "task": _task(tasks)}))


def tombstone_json(ended: sa.FromClause) -> sa.ColumnElement[bytes]:
    """Return the expression of a task that was deleted permanently as a change."""
    return _compile(_object({"id": _json(ended.c.id), "task": constant("null")}))


def _compile(text: sa.ColumnElement[str]) -> sa.ColumnElement[bytes]:
    encoded = func.convert_to(text, constant("UTF8"))
    return literal_column(str(encoded.compile(dialect=DIALECT)), sa.LargeBinary)


def _task(tasks: sa.FromClause) -> sa.ColumnElement[str]:
    return _object({name: _member(tasks, name) for name in MEMBERS})


def _member(tasks: sa.FromClause, name: str) -> sa.ColumnElement[str]:
    match name:
        case "due":
            day, moment = (_utc(tasks.c.due_at, form) for form in (DAY_FORMAT, MOMENT_FORMAT))
            return _or_null(_quoted(case((tasks.c.due_whole_day, day), else_=moment)))
        case "priority":
            return case(
                *(
                    (tasks.c.priority == number(level), constant(f'"{level.name.lower()}"'))
                    for level in Priority
                )
            )
    value = _json(tasks.c[name])
    return _or_null(value) if TaskRow.__table__.columns[name].nullable else value


def _object(members: Mapping[str, sa.ColumnElement[str]]) -> sa.ColumnElement[str]:
    parts: list[sa.ColumnElement[str]] = []
    opening = "{"
    for name, value in members.items():
        parts += [constant(f'{opening}"{name}":'), value]
        opening = ","
    return _joined([*parts, constant("}")])


def _json(value: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """Write a value; NULL stays NULL."""
    match value.type:
        case sa.Uuid():
            return _quoted(cast(value, sa.Text))
        case sa.Boolean() | sa.Integer():
            return cast(value, sa.Text)
        case DateTimeUTC():
            return _quoted(_utc(value, MOMENT_FORMAT))
        case sa.Text() | sa.ARRAY():
            return cast(func.to_json(value), sa.Text)
    raise TypeError(f"{value} is of a type that has no JSON here yet")


def _utc(moment: sa.ColumnElement[Any], form: str) -> sa.ColumnElement[str]:
    return func.to_char(func.timezone(constant("UTC"), moment), constant(form))


def _or_null(text: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    return func.coalesce(text, constant("null"))


def _quoted(text: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    return _joined([constant('"'), text, constant('"')])


def _joined(texts: Iterable[sa.ColumnElement[str]]) -> sa.ColumnElement[str]:
    return reduce(add, texts)
