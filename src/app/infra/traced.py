"""Statements, each drawn in the trace of its request."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager

from app.infra.owned import Connection, Row
from app.infra.statements.walls import Statement

Draw = Callable[[str], AbstractContextManager[None]]
"""Draws the SQL that is run within."""


class TracedConnection:
    """Another connection, with something drawn around each statement."""

    def __init__(self, connection: Connection, draw: Draw) -> None:
        self._connection = connection
        self._draw = draw

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        with self._draw(statement.sql):
            return await self._connection.fetch(statement, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["TracedConnection"]:
        async with self._connection.transaction() as transaction:
            yield TracedConnection(transaction, self._draw)
