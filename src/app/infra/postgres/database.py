"""Neon, as statements that are run whole or not at all.

When a connection breaks, these are repeated: opening one, BEGIN, and a statement that only reads. A write is
never repeated once it was sent. If its outcome is unknown, the error says so (`OutcomeUnknown`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from asyncpg import SyntaxOrAccessError

from app.domain.errors import DatabaseUnavailable, OutcomeUnknown, SearchTooSlow
from app.infra.postgres.checkout import Checkout
from app.infra.postgres.connect import (
    Connection,
    means_lost,
    means_pooler,
    means_undone,
    means_unreachable,
    means_unsent,
)
from app.infra.postgres.pool import PoolStats
from app.infra.postgres.session import Row, Transaction
from app.infra.postgres.wait_queue import PoolExhausted
from app.infra.statements.owner_scope import Statement
from app.settings.database_address import DatabaseAddress


class Deadlines:
    """Until when each connection may be waited for, and which task waits."""

    def __init__(self) -> None:
        self._until: dict[Connection, tuple[float, asyncio.Task[object] | None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0  # when the timer will look

    def watch(self, connection: Connection, until: float) -> None:
        """End the running task's wait at this moment of the loop's clock, unless it is let go before."""
        self._until[connection] = until, asyncio.current_task()
        if self._timer is None or until < self._next:
            self._look_at(until)

    def let_go(self, connection: Connection) -> bool:
        """Watch a connection no longer; tell whether its time was up."""
        return self._until.pop(connection, None) is None

    def _look_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = moment
        self._timer = asyncio.get_running_loop().call_at(moment, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection, (until, task) in [*self._until.items()]:
            if until <= now:
                del self._until[connection]
                if task is not None:
                    task.cancel()  # asyncpg sends a CancelRequest for what a cancelled task waited for
        if self._until:
            self._look_at(min(until for until, _ in self._until.values()))


def outcome(caught: BaseException) -> BaseException:
    """Return what an error means that came up when the time of the running task was up."""
    task = asyncio.current_task()
    if task is not None and task.uncancel() > 0 and not isinstance(caught, Exception):
        return caught  # somebody else has cancelled the task as well
    return caught if means_undone(caught) else TimeoutError()


T = TypeVar("T")

POOL_SIZE: Final = 10  # connections a process
TIMEOUT: Final = 5.0  # seconds for one request: waiting, connecting, statements, COMMIT
SERVERS_SHARE: Final = 0.9  # of that, after which the server ends a statement by itself, and says so
PING: Final = Statement("SELECT 1", ())


class Database:
    """Runs statements on connections that are opened when first needed. It sends nothing by itself."""

    def __init__(
        self, address: DatabaseAddress, *, timeout: float = TIMEOUT, pool_size: int = POOL_SIZE
    ) -> None:
        self._timeout = timeout
        self._checkout = Checkout(address, pool_size=pool_size, statement_timeout=timeout * SERVERS_SHARE)
        self._trouble: str | None = "not asked yet"
        self._probing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to lend connections. Connects to nothing, so it works while the database is away."""
        self._deadlines = Deadlines()  # on the loop that runs now
        await self._checkout.open()

    async def close(self) -> None:
        """Give every connection back."""
        if self._probing is not None:
            self._probing.cancel()
        await self._checkout.close()

    def counts(self) -> PoolStats:
        """Tell how the pool stands."""
        return self._checkout.counts()

    @property
    def prepares(self) -> bool:
        """Whether statements are prepared once for a connection and run again by name."""
        return self._checkout.prepares

    def deadline(self) -> float:
        """Return the moment, on the loop's clock, until which a request that begins now may take."""
        return asyncio.get_running_loop().time() + self._timeout

    async def fetch(
        self, statement: Statement, values: Mapping[str, object], *, until: float | None = None
    ) -> Sequence[Row]:
        """Run one statement in its own transaction and return its rows.

        Raises:
            SearchTooSlow: its budget was used up.
            DatabaseUnavailable: it cannot be reached, or does not answer in time.
            DatabaseNotSetUp: its wall, or a part that it needs, is missing.
            OutcomeUnknown: the same, after a write was sent.

        """
        until = until or self.deadline()
        arguments = [values[name] for name in statement.names]
        again, mixed_up = True, 3  # how often: after a lost connection; after a pooler mixed statements up
        while True:
            connection = self._checkout.idle()
            if connection is None:
                connection = await self._asked(self._checkout.acquire(until))
            ends = until
            if statement.budget is not None:
                ends = min(until, asyncio.get_running_loop().time() + statement.budget)
            self._deadlines.watch(connection, ends)
            try:
                rows = await connection.fetch(statement.sql, *arguments)
            except BaseException as caught:
                error = outcome(caught) if self._deadlines.let_go(connection) else caught
                self._checkout.release(connection, error)
                if ends < until and isinstance(error, TimeoutError):
                    raise SearchTooSlow(f"a search took more than {statement.budget} s") from error
                lost = means_lost(error) and (statement.reads or means_unsent(error))
                if means_pooler(error) and mixed_up:  # nothing was executed
                    mixed_up -= 1
                elif lost and again:
                    again = False
                else:
                    await self._expect_set_up(error, until)
                    self._tell(error, may_be_done=not statement.reads)
                    raise
            else:
                self._deadlines.let_go(connection)
                self._checkout.release(connection)
                self._trouble = None
                return rows  # type: ignore[return-value]  # a Record is a mapping, though it does not say so

    @asynccontextmanager
    async def transaction(self, *, until: float | None = None) -> AsyncIterator[Transaction]:
        """Run several statements whole or not at all: whatever the block raises undoes them.

        They have one deadline together. COMMIT is confirmed before the block is left.

        Raises:
            DatabaseUnavailable: as `fetch` does.
            OutcomeUnknown: COMMIT was sent and not confirmed.

        """
        until = until or self.deadline()
        connection = await self._asked(self._checkout.acquire_with_transaction(until))
        committing = False
        try:
            async with asyncio.timeout_at(until):
                try:
                    yield Transaction(connection)
                except Exception:
                    await connection.execute("ROLLBACK")
                    raise
                committing = True
                await connection.execute("COMMIT")
        except BaseException as error:
            self._checkout.release(connection, error)
            await self._expect_set_up(error, until)
            self._tell(error, may_be_done=committing)
            raise
        self._checkout.release(connection)
        self._trouble = None

    async def trouble(self) -> str | None:
        """Return why the database cannot be used; None if it can.

        If the last statement succeeded and the last check of the walls found nothing, no statement is sent:
        a sleeping database stays asleep. Otherwise one connection outside the pool is opened for all callers.
        """
        if self._trouble is not None or self.walls_trouble is not None:
            if self._probing is None or self._probing.done():
                self._probing = asyncio.get_running_loop().create_task(self._probe())
            await asyncio.wait([self._probing])
        return self._trouble or self.walls_trouble

    @property
    def walls_trouble(self) -> str | None:
        """What the last check of the walls found wrong; None if nothing."""
        return self._checkout.wall.trouble

    async def _probe(self) -> None:
        try:
            await self._checkout.probe(self.deadline())
        except DatabaseUnavailable as error:
            self._trouble = error.reason
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            self._trouble = f"{type(error).__name__}: the database does not answer"
        else:
            self._trouble = None

    async def _asked(self, acquiring: Awaitable[T]) -> T:
        try:
            return await acquiring
        except Exception as error:
            self._tell(error, may_be_done=False)
            raise

    async def _expect_set_up(self, error: BaseException, until: float) -> None:
        """Raise DatabaseNotSetUp where an error comes of a missing part. Else it is our bug."""
        if not isinstance(error, SyntaxOrAccessError):
            return
        if self.walls_trouble is None:
            await self._asked(self._checkout.look(until))
        self._checkout.wall.refuse()

    def _tell(self, error: BaseException, *, may_be_done: bool) -> None:
        """Raise the domain's error for a failure of the database. Any other error is left to the caller."""
        if isinstance(error, DatabaseUnavailable):
            self._trouble = error.reason
        if not isinstance(error, PoolExhausted) and not means_unreachable(error):
            return
        self._trouble = f"{type(error).__name__}: the database does not answer"
        unknown = may_be_done and not (means_undone(error) or means_unsent(error))
        raise (OutcomeUnknown if unknown else DatabaseUnavailable)(self._trouble) from error
