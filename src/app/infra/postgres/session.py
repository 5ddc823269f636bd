"""Sessions that run statements: the protocol, a transaction, and a session that traces another one.

Each statement carries its owner (`app.infra.statements.owner_scope`), and its setting for row-level security
ends with the transaction. So a transaction sets nothing at BEGIN, and resets nothing at its end.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any, Protocol

from app.infra.postgres.connect import Connection
from app.infra.statements.owner_scope import Statement

Row = Mapping[str, Any]


class Session(Protocol):
    """Runs one statement atomically."""

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Return the rows."""

    def transaction(self) -> AbstractAsyncContextManager["Session"]:
        """Open a session that runs several statements in one transaction."""


class Transaction:
    """Runs statements in a transaction that its caller begins and ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Run one statement and return its rows."""
        arguments = [values[name] for name in statement.names]
        return await self._connection.fetch(statement.sql, *arguments)  # type: ignore[return-value]  # a Record is a mapping

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """Yield itself: a nested transaction is part of the outer one."""
        yield self


Trace = Callable[[str], AbstractContextManager[None]]
"""Records a span for the SQL that runs inside."""


class TracedSession:
    """Adds a span to each statement of another session."""

    def __init__(self, connection: Session, trace: Trace) -> None:
        self._connection = connection
        self._trace = trace

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        with self._trace(statement.sql):
            return await self._connection.fetch(statement, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        async with self._connection.transaction() as connection:
            yield TracedSession(connection, self._trace)
