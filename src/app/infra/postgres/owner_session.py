"""Statements run for exactly one owner."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from app.domain.identity import UserId
from app.infra.statements.owner_scope import Statement

Row = Mapping[str, Any]


class Connection(Protocol):
    """Whatever runs one statement, whole or not at all."""

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Return the rows."""
        ...

    def transaction(self) -> AbstractAsyncContextManager["Connection"]:
        """Return what runs several statements, all of them or none."""
        ...


class OwnedConnection:
    """Runs statements for one owner, and has no way to run one for any other.

    `owner` has no default: a connection that belongs to no one cannot be made.
    """

    def __init__(self, connection: Connection, *, owner: UserId) -> None:
        if not owner:
            raise ValueError("an owned connection needs an owner")
        self._connection = connection
        self._owner = owner

    async def rows(self, statement: Statement, **values: object) -> Sequence[Row]:
        """Run a statement and return its rows. The owner is bound here and only here."""
        values["owner"] = self._owner
        return await self._connection.fetch(statement, values)

    async def one(self, statement: Statement, **values: object) -> Row | None:
        """Run a statement and return its first row, or None."""
        rows = await self.rows(statement, **values)
        return rows[0] if rows else None

    @asynccontextmanager
    async def together(self) -> AsyncIterator["OwnedConnection"]:
        """Run several statements for the same owner, all of them or none."""
        async with self._connection.transaction() as connection:
            yield OwnedConnection(connection, owner=self._owner)
