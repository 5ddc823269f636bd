"""Statements, each drawn in the trace of its request."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager

from app.infra.postgres.owner_session import Connection, Row
from app.infra.statements.owner_scope import Statement

Draw = Callable[[str], AbstractContextManager[None]]
"""Draws the SQL that is run within."""


class TracedConnection:
    """Whatever runs statements, with something drawn around each."""

    def __init__(self, connection: Connection, draw: Draw) -> None:
        self._connection = connection
        self._draw = draw

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        with self._draw(statement.sql):
            return await self._connection.fetch(statement, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self._connection.transaction() as connection:
            yield TracedConnection(connection, self._draw)
