"""The owner scope of every statement: the owner predicate and row-level security, the two walls.

Every statement reads or writes a view `own_<table>` with two conditions. `user_id = :owner` is the first
wall. `(SELECT set_config('app.user_id', :owner, true)) IS NOT NULL` sets the owner for the second wall,
row-level security, until the transaction ends. PostgreSQL evaluates a condition without columns before it
reads the first row (a "One-Time Filter" in the plan). If it ever evaluated that later, the statement would
see no row, and never another person's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.expression import Executable, TableClause

from app.infra.tables import OwnedRow

OWNER_SETTING: Final = "app.user_id"
OWNER: Final = bindparam("owner", type_=sa.Text)
DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy

_WRITES: Final = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b")


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text, and the names of its values `$1`, `$2`, …, in this order."""

    sql: str
    names: tuple[str, ...]
    budget: float | None = None  # seconds for the database; None: until the deadline of the request
    reads: bool = field(init=False)  # it writes and locks nothing, so a retry is safe

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", _WRITES.search(self.sql) is None)


def view_of(row: type[OwnedRow]) -> TableClause:
    """Return the view of a table, which requests use."""
    columns = (sa.column(c.name, c.type) for c in row.__table__.columns)
    return sa.table(f"own_{row.__tablename__}", *columns)


def owner_scope(view: TableClause) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Return both conditions, for a statement that reads, changes or deletes rows of a view."""
    return _set_owner(), view.c.user_id == OWNER


def insert_own(
    view: TableClause,
    values: Mapping[str, sa.ColumnElement[Any]],
    *conditions: sa.ColumnElement[bool],
    source: sa.FromClause | None = None,
) -> Insert:
    """Return the INSERT of the owner's rows: one for each row of `source` that meets the conditions.

    `values`: the other columns. Without `source`, the CTEs that values and conditions name are the source.
    """
    owner = {"user_id": OWNER}
    values = {**owner, **values, **owner}  # the second time, so that no value of a caller replaces it
    rows = row_of(values).where(_set_owner(), *conditions)
    return insert(view).from_select(list(values), rows if source is None else rows.select_from(source))


def _set_owner() -> sa.ColumnElement[bool]:
    """Return the condition that sets `app.user_id` for row-level security."""
    return select(func.set_config(constant(OWNER_SETTING), OWNER, true())).scalar_subquery().is_not(None)


def row_of(values: Mapping[str, sa.ColumnElement[Any]]) -> sa.Select[Any]:
    """Return the SELECT of these values, each under its name."""
    return select(*(value.label(name) for name, value in values.items()))


def constant(text: str) -> sa.ColumnElement[str]:
    """Write a text of ours into the statement."""
    return literal_column(f"'{text}'", sa.Text)


def number(value: int, kind: type[sa.Integer] = sa.Integer) -> sa.ColumnElement[int]:
    """Write a number of ours into the statement."""
    return literal_column(str(value), kind)


def beside(*parts: sa.CTE) -> sa.Select[Any]:
    """Join the rows of several parts into one row. A part without a row gives NULL in its columns.

    The parts are CTEs, because PostgreSQL runs a CTE that calls `set_config` separately. It would merge a
    subquery into the join, and set the owner after the scan.
    """
    source: sa.FromClause = select(literal_column("1")).subquery("one")
    for part in parts:
        source = source.outerjoin(part, true())
    return select(*(c for part in parts for c in part.c)).select_from(source)


def compile_sql(statement: Executable, *, budget: float | None = None) -> Statement:
    """Compile a statement for the driver."""
    written = statement.compile(dialect=DIALECT)  # type: ignore[attr-defined]  # Executable does not declare it
    names = tuple(written.positiontup or ())
    if given := [name for name in names if written.params[name] is not None]:
        raise ValueError(f"a statement is compiled once, and its values come later: {', '.join(given)}")
    return Statement(str(written), names, budget)
