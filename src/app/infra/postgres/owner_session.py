"""Sessions for exactly one owner, with a deadline and a limit of concurrent statements.

A person's further statements wait in that person's own queue, so nobody can hold every connection.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from app.domain.errors import OutcomeUnknown, TooManyAtOnce
from app.domain.identity import UserId
from app.infra.postgres.database import Database
from app.infra.postgres.session import Row, Session, Transaction
from app.infra.statements.owner_scope import Statement

WAITING_PER_RUNNING: Final = 25  # statements of a person
PATIENCE: Final = 2.0  # seconds that a statement waits in its person's queue


class PersonConcurrency:
    """Limits the running statements of each person. A person without any takes no memory."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._running: dict[UserId, int] = {}
        self._queues: dict[UserId, deque[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """Return the number of people with running or waiting statements."""
        return len(self._running)

    def running(self, person: UserId) -> int:
        """Return how many statements of a person run or wait for a connection."""
        return self._running.get(person, 0)

    def start(self, person: UserId) -> "asyncio.Future[None] | None":
        """Count a statement. Return None if it may run now, or a future to wait for. Call `finish` after it.

        Raise TooManyAtOnce if the person's queue is full.
        """
        running = self._running.get(person, 0)
        if running < self._at_most:
            self._running[person] = running + 1
            return None
        queue = self._queues.setdefault(person, deque())
        if len(queue) >= WAITING_PER_RUNNING * self._at_most:
            raise TooManyAtOnce
        queue.append(turn := asyncio.get_running_loop().create_future())
        return turn

    async def wait(self, person: UserId, turn: "asyncio.Future[None]", until: float) -> None:
        """Wait until a statement may run. If this raises, do not call `finish`.

        Raise TooManyAtOnce if none of the person's statements ended in time.
        """
        try:
            async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + PATIENCE)):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # the turn came at the moment of the timeout
                self.finish(person)
            else:
                self._leave(person, turn)
            if isinstance(error, TimeoutError):
                raise TooManyAtOnce from error
            raise

    def finish(self, person: UserId) -> None:
        """Count a statement as finished, and let the person's next one run."""
        while queue := self._queues.get(person):
            turn = queue.popleft()
            if not queue:
                del self._queues[person]
            if not turn.done():
                turn.set_result(None)
                return
        if (running := self._running[person]) > 1:
            self._running[person] = running - 1
        else:
            del self._running[person]

    def _leave(self, person: UserId, turn: "asyncio.Future[None]") -> None:
        if (queue := self._queues.get(person)) and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[person]


class OwnerSession:
    """Runs statements for one owner, and cannot run one for any other, or without an owner."""

    def __init__(self, connection: Session, *, owner: UserId) -> None:
        if not owner:
            raise ValueError("an owner session needs an owner")
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
    async def transaction(self) -> AsyncIterator["OwnerSession"]:
        """Run several statements for the same owner in one transaction."""
        async with self._connection.transaction() as connection:
            yield OwnerSession(connection, owner=self._owner)


Announce = Callable[[UserId], None]
"""Announces that a person's tasks may have changed."""

MAY_BE_WRITTEN: Final = (OutcomeUnknown, asyncio.CancelledError)
"""Errors after which a write may have happened."""


class DeadlineSession:
    """The session of one request, with one deadline that starts at the first statement.

    It announces each write after COMMIT, and each one whose outcome is unknown.
    """

    def __init__(
        self, database: Database, concurrency: PersonConcurrency, person: UserId, announce: Announce
    ) -> None:
        self._database = database
        self._concurrency = concurrency
        self._person = person
        self._announce = announce
        self._until: float | None = None

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Run one statement; see `Database.fetch`."""
        until = self._deadline()
        if (turn := self._concurrency.start(self._person)) is not None:
            await self._concurrency.wait(self._person, turn, until)
        try:
            person, others = self._person, self._concurrency.running(self._person) - 1
            if statement.budget is None:
                rows = await self._database.fetch(
                    statement, values, until=until, person=person, running=others
                )
            else:
                async with self._database.slow_share.turn(person, running=others, until=until):
                    rows = await self._database.fetch(
                        statement, values, until=until, person=person, running=others
                    )
        except MAY_BE_WRITTEN:
            if not statement.reads:
                self._announce_soon()
            raise
        finally:
            self._concurrency.finish(self._person)
        if not statement.reads:
            self._announce_soon()
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run several statements in one transaction; see `Database.transaction`."""
        until = self._deadline()
        if (turn := self._concurrency.start(self._person)) is not None:
            await self._concurrency.wait(self._person, turn, until)
        try:
            others = self._concurrency.running(self._person) - 1
            async with self._database.transaction(
                until=until, person=self._person, running=others
            ) as transaction:
                yield transaction
        except MAY_BE_WRITTEN:
            self._announce_soon()
            raise
        finally:
            self._concurrency.finish(self._person)
        self._announce_soon()

    def _announce_soon(self) -> None:
        """Announce in the next round of the event loop, so that the response goes first."""
        asyncio.get_running_loop().call_soon(self._announce, self._person)

    def _deadline(self) -> float:
        if self._until is None:
            self._until = self._database.deadline()
        return self._until
