"""Statements, each drawn in the trace of its request."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager

from app.infra.database import Database
from app.infra.owned import Row
from app.infra.statements.walls import Statement
from app.infra.transaction import Transaction

Draw = Callable[[str], AbstractContextManager[None]]
"""Draws the SQL that is run within."""


class TracedDatabase:
    """The database, with something drawn around each statement."""

    def __init__(self, database: Database, draw: Draw) -> None:
        self._database = database
        self._draw = draw

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        with self._draw(statement.sql):
            return await self._database.fetch(statement, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._database.transaction() as transaction:
            yield _TracedTransaction(transaction, self._draw)


class _TracedTransaction(Transaction):
    def __init__(self, transaction: Transaction, draw: Draw) -> None:
        self._transaction = transaction
        self._draw = draw

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        with self._draw(statement.sql):
            return await self._transaction.fetch(statement, values)
