"""One deadline for all that one request asks of the database."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from app.infra.database import Database
from app.infra.owned import Row
from app.infra.statements.walls import Statement
from app.infra.transaction import Transaction


class WithinDeadline:
    """A database for one request: its time runs from the first statement, not while its body comes in."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._until: float | None = None

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Run one statement; see `Database.fetch`."""
        return await self._database.fetch(statement, values, until=self._deadline())

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Run several together; see `Database.transaction`."""
        return self._database.transaction(until=self._deadline())

    def _deadline(self) -> float:
        if self._until is None:
            self._until = self._database.deadline()
        return self._until
