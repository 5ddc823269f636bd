"""Rows as JSON, written by PostgreSQL: what is only going to be read need not become objects first.

This is the hot path (docs/decisions/0005-the-hot-path.md has the figures). The text is byte by byte the one
that the API writes of a task; `tests/contracts/` holds the two equal.
"""

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any, Final

from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import Boolean, ColumnElement, Text, Uuid, cast, func, literal_column

MOMENT: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'  # RFC 3339, in UTC, always to the microsecond


def json_of(members: Iterable[tuple[str, ColumnElement[Any]]]) -> ColumnElement[bytes]:
    """Return the expression of a JSON object with these members, in UTF-8."""
    parts: list[ColumnElement[str]] = []
    opening = "{"
    for name, value in members:
        parts += [_constant(f'{opening}"{name}":'), _json(value)]
        opening = ","
    return func.convert_to(reduce(add, [*parts, _constant("}")]), _constant("UTF8"))


def _json(value: ColumnElement[Any]) -> ColumnElement[str]:
    """Write a value. Only texts may be NULL."""
    match value.type:
        case Uuid():
            return _quoted(cast(value, Text))
        case Boolean():
            return cast(value, Text)
        case DateTimeUTC():
            return _quoted(func.to_char(func.timezone(_constant("UTC"), value), _constant(MOMENT)))
        case Text():
            return func.coalesce(cast(func.to_json(value), Text), _constant("null"))
    raise TypeError(f"{value} is of a type that has no JSON here yet")


def _quoted(text: ColumnElement[str]) -> ColumnElement[str]:
    return _constant('"') + text + _constant('"')


def _constant(text: str) -> ColumnElement[str]:
    """Write a text of ours into the statement."""
    return literal_column(f"'{text}'", Text)
