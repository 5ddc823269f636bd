"""The one place that builds SQL, and the two walls it cannot build without.

Every statement reads or writes the view `own_<table>` and holds two conjuncts:

- `user_id = :owner`, the first wall: only this person's rows are asked for.
- `(SELECT set_config('app.user_id', :owner, true)) IS NOT NULL`, which tells the second wall, the row-level
  security under the view, for whom this one statement is. PostgreSQL evaluates a condition without columns
  before it touches the first row (a "One-Time Filter" in the plan), so the wall knows the owner in time;
  it forgets when the statement's transaction ends. Should the order ever fail, no row is seen,
  never another's.

Both walls in one statement means both in one round trip. Statements are compiled once, at import.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Text,
    Uuid,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal_column,
    select,
    table,
    true,
    update,
)
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.expression import Executable, TableClause

from app.domain.identity import UserId
from app.infra.json_text import json_of
from app.infra.rows import OwnedRow

OWNER_SETTING: Final = "app.user_id"
DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text, and the names of the values that its `$1`, `$2`, … stand for."""

    sql: str
    names: tuple[str, ...]


class Connection(Protocol):
    """Whatever runs one statement, whole or not at all."""

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Return the rows."""
        ...


class OwnedRepository:
    """The rows of one owner in one table, and no way to reach any other.

    `owner` has no default: a repository that belongs to no one cannot be made.
    """

    def __init__(self, connection: Connection, row: type[OwnedRow], *, owner: UserId) -> None:
        if not owner:
            raise ValueError("an owned repository needs an owner")
        self._connection = connection
        self._sql = statements_of(row)
        self._owner = owner

    async def find(self, row_id: UUID) -> Row | None:
        """Return the owner's row by id, or None."""
        return await self._one(self._sql.find, {"row": row_id})

    async def show(self, row_id: UUID) -> Row | None:
        """Return the owner's row by id as `shown`, JSON in UTF-8; or None."""
        return await self._one(self._sql.show, {"row": row_id})

    async def newest(self, limit: int, *, after: UUID | None) -> Sequence[Row]:
        """Return at most `limit` of the owner's rows by descending id, those below `after` if it is given.

        Each is its `id`, and `shown`: JSON in UTF-8.
        """
        statement = self._sql.newest if after is None else self._sql.newest_after
        return await self._rows(statement, {"limit": limit, "after": after})

    async def insert(self, row_id: UUID, values: Mapping[str, object]) -> None:
        """Add a row for this owner. The owner column is stamped here and only here."""
        await self._rows(self._sql.insert(tuple(values)), {**values, "row": row_id})

    async def update(self, row_id: UUID, values: Mapping[str, object], *, negate: str = "") -> Row | None:
        """Change the owner's row, turn the column `negate` around, and return the row; None if none."""
        return await self._one(self._sql.update(tuple(values), negate), {**values, "row": row_id})

    async def delete(self, row_id: UUID) -> bool:
        """Remove the owner's row; False if the owner has none by this id."""
        return await self._one(self._sql.delete, {"row": row_id}) is not None

    async def _one(self, statement: Statement, values: Mapping[str, object]) -> Row | None:
        rows = await self._rows(statement, values)
        return rows[0] if rows else None

    async def _rows(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        return await self._connection.fetch(statement, {**values, "owner": self._owner})


class OwnedStatements:
    """The statements of one table, compiled."""

    def __init__(self, row: type[OwnedRow]) -> None:
        columns = row.__table__.columns
        self._view = view = table(f"own_{row.__tablename__}", *(column(c.name, c.type) for c in columns))
        self._shown = [c for c in view.c if c.name != "user_id"]
        this_row = view.c.id == bindparam("row", type_=Uuid)
        self._this = (*_walls(view), this_row)

        shown = json_of((c.name, c) for c in (view.c.id, view.c.user_id, *self._shown[1:])).label("shown")
        newest = select(view.c.id, shown).where(*_walls(view)).order_by(view.c.id.desc())
        newest = newest.limit(bindparam("limit", type_=Integer))
        self.show: Final = compiled(select(shown).where(*self._this))
        self.find: Final = compiled(select(*self._shown).where(*self._this))
        self.newest: Final = compiled(newest)
        self.newest_after: Final = compiled(newest.where(view.c.id < bindparam("after", type_=Uuid)))
        self.delete: Final = compiled(delete(view).where(*self._this).returning(view.c.id))
        self.insert = lru_cache(self._insert)  # one statement for each set of columns that callers name
        self.update = lru_cache(self._update)

    def _insert(self, names: tuple[str, ...]) -> Statement:
        values = {"user_id": OWNER, "id": bindparam("row", type_=Uuid), **self._values(names)}
        source = select(*(value.label(name) for name, value in values.items())).where(_told())
        return compiled(insert(self._view).from_select(list(values), source).returning(self._view.c.id))

    def _update(self, names: tuple[str, ...], negate: str) -> Statement:
        values: dict[str, ColumnElement[Any]] = dict(self._values(names))
        if negate:
            values[negate] = ~self._view.c[negate]
        return compiled(update(self._view).values(values).where(*self._this).returning(*self._shown))

    def _values(self, names: Iterable[str]) -> dict[str, ColumnElement[Any]]:
        if foreign := {"user_id", "id"}.intersection(names):
            raise ValueError(f"a row never changes hands or names: {', '.join(sorted(foreign))}")
        return {name: bindparam(name, type_=self._view.c[name].type) for name in names}


OWNER: Final = bindparam("owner", type_=Text)


def _walls(view: TableClause) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _told(), view.c.user_id == OWNER


def _told() -> ColumnElement[bool]:
    setting: ColumnElement[str] = literal_column(f"'{OWNER_SETTING}'")
    return select(func.set_config(setting, OWNER, true())).scalar_subquery().is_not(None)


def compiled(statement: Executable) -> Statement:
    """Write a statement as the driver takes it."""
    written = statement.compile(dialect=DIALECT)  # type: ignore[attr-defined]  # Executable does not say so
    return Statement(str(written), tuple(written.positiontup or ()))


statements_of = lru_cache(OwnedStatements)
