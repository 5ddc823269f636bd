"""What runs statements: the protocol `Session`, a transaction, and a tracer around either.

A transaction takes no role at BEGIN and sets no owner. Nothing is undone at its end. Each statement carries
the owner itself (`app.infra.statements.owner_scope`), and its setting for row-level security ends with the
transaction. From BEGIN to COMMIT a transaction pooler keeps one server connection.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any, Protocol

from app.infra.postgres.connect import Connection
from app.infra.statements.owner_scope import Statement

Row = Mapping[str, Any]


class Session(Protocol):
    """Whatever runs one statement, whole or not at all."""

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Return the rows."""
        ...

    def transaction(self) -> AbstractAsyncContextManager["Session"]:
        """Return what runs several statements, all of them or none."""
        ...


class Transaction:
    """Runs statements on a connection whose transaction somebody else began and will end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Run one statement and return its rows."""
        arguments = [values[name] for name in statement.names]
        return await self._connection.fetch(statement.sql, *arguments)  # type: ignore[return-value]  # a Record is a mapping

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """Return itself: what is done in a part of it stands or falls with all of it."""
        yield self


Draw = Callable[[str], AbstractContextManager[None]]
"""Draws the SQL that is run within."""


class TracedSession:
    """Whatever runs statements, with something drawn around each."""

    def __init__(self, connection: Session, draw: Draw) -> None:
        self._connection = connection
        self._draw = draw

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        with self._draw(statement.sql):
            return await self._connection.fetch(statement, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        async with self._connection.transaction() as connection:
            yield TracedSession(connection, self._draw)
