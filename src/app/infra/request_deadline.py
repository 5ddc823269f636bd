"""One deadline for all that one request asks of the database, within what its person may run at once."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from app.domain.identity import UserId
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import Row
from app.infra.postgres.person_concurrency import PersonConcurrency
from app.infra.postgres.session import Transaction
from app.infra.statements.owner_scope import Statement


class WithinDeadline:
    """A database for one request: its time runs from the first statement, not while its body comes in."""

    def __init__(self, database: Database, concurrency: PersonConcurrency, person: UserId) -> None:
        self._database = database
        self._concurrency = concurrency
        self._person = person
        self._until: float | None = None

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Run one statement; see `Database.fetch`."""
        until = self._deadline()
        if (turn := self._concurrency.start(self._person)) is not None:
            await self._concurrency.wait(self._person, turn, until)
        try:
            return await self._database.fetch(statement, values, until=until)
        finally:
            self._concurrency.finish(self._person)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run several together; see `Database.transaction`."""
        until = self._deadline()
        if (turn := self._concurrency.start(self._person)) is not None:
            await self._concurrency.wait(self._person, turn, until)
        try:
            async with self._database.transaction(until=until) as transaction:
                yield transaction
        finally:
            self._concurrency.finish(self._person)

    def _deadline(self) -> float:
        if self._until is None:
            self._until = self._database.deadline()
        return self._until
