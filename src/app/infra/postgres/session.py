"""Several statements as one.

No role is taken at BEGIN, no owner set, and nothing is undone at the end: each statement carries both walls
itself (`app.infra.statements.owner_scope`), and what it tells row-level security it tells until the end of
its
transaction only. From BEGIN to COMMIT a transaction pooler keeps to one server connection.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from app.infra.postgres.connect import Connection
from app.infra.postgres.owner_session import Row
from app.infra.statements.owner_scope import Statement


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
