"""Runs statements and transactions on PostgreSQL, each within a deadline.

When a connection breaks, these are retried: connecting, BEGIN, and a statement that only reads. A write is
retried only if it certainly was not executed. If its outcome is unknown, it raises `OutcomeUnknown`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from asyncpg import SyntaxOrAccessError

from app.domain.errors import DatabaseUnavailable, OutcomeUnknown, SearchTooSlow
from app.domain.identity import UserId
from app.infra.postgres.connect import (
    Connection,
    means_lost,
    means_pooler,
    means_undone,
    means_unreachable,
    means_unsent,
)
from app.infra.postgres.pool import Checkout, PoolStats
from app.infra.postgres.session import Row, Transaction
from app.infra.postgres.slow_share import SlowShare
from app.infra.postgres.used_time import USED_TIME_MIN, UsedTime
from app.infra.postgres.wait_queue import PoolExhausted
from app.infra.statements.owner_scope import Statement
from app.settings.database_address import DatabaseAddress


class Deadlines:
    """The deadlines of running statements. A task whose statement is late gets cancelled."""

    def __init__(self) -> None:
        self._until: dict[Connection, tuple[float, asyncio.Task[object] | None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0  # when the timer fires

    def watch(self, connection: Connection, until: float) -> None:
        """Cancel the running task at this time of the loop's clock, unless `unwatch` comes first."""
        self._until[connection] = until, asyncio.current_task()
        if self._timer is None or until < self._next:
            self._set_timer(until)

    def unwatch(self, connection: Connection) -> bool:
        """Stop watching a connection. Return whether its deadline has passed."""
        return self._until.pop(connection, None) is None

    def _set_timer(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = moment
        self._timer = asyncio.get_running_loop().call_at(moment, self._end_overdue)

    def _end_overdue(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection, (until, task) in [*self._until.items()]:
            if until <= now:
                del self._until[connection]
                if task is not None:
                    task.cancel()  # asyncpg then sends a CancelRequest
        if self._until:
            self._set_timer(min(until for until, _ in self._until.values()))


def error_at_deadline(caught: BaseException) -> BaseException:
    """Return the error to report, if the deadline of the running task had passed when `caught` was raised."""
    task = asyncio.current_task()
    if task is not None and task.uncancel() > 0 and not isinstance(caught, Exception):
        return caught  # somebody else has cancelled the task too
    return caught if means_undone(caught) else TimeoutError()


T = TypeVar("T")

POOL_SIZE: Final = 10  # connections a process
TIMEOUT: Final = 5.0  # seconds for one request: waiting, connecting, statements, COMMIT
SERVERS_SHARE: Final = 0.9  # of TIMEOUT: the server's statement_timeout, so that its report comes in time


class Database:
    """Runs statements on connections that are opened on demand. Without a request it sends nothing."""

    def __init__(
        self, address: DatabaseAddress, *, timeout: float = TIMEOUT, pool_size: int = POOL_SIZE
    ) -> None:
        self._timeout = timeout
        self._checkout = Checkout(address, pool_size=pool_size, statement_timeout=timeout * SERVERS_SHARE)
        self._used_time = UsedTime()
        self.slow_share = SlowShare(max(pool_size // 2, 1), self._used_time)
        self._trouble: str | None = "not checked yet"
        self._probing: asyncio.Task[str | None] | None = None
        self._deadlines = Deadlines()

    async def open(self) -> None:
        """Begin anew, in the running event loop. It does not connect."""
        self._deadlines = Deadlines()
        self._checkout.open()

    async def close(self) -> None:
        """Close every connection."""
        if self._probing is not None:
            self._probing.cancel()
        await self._checkout.close()

    def counts(self) -> PoolStats:
        """Return the counts of the pool."""
        return self._checkout.counts()

    @property
    def prepares(self) -> bool:
        """Whether a connection prepares each statement once and runs it by name."""
        return self._checkout.prepares

    def deadline(self) -> float:
        """Return the deadline of a request that begins now, on the loop's clock."""
        return asyncio.get_running_loop().time() + self._timeout

    async def fetch(
        self,
        statement: Statement,
        values: Mapping[str, object],
        *,
        until: float | None = None,
        person: UserId | None = None,
        running: int = 0,
    ) -> Sequence[Row]:
        """Run one statement in its own transaction and return its rows.

        If all connections are in use, people with many or slow statements wait longer (`UsedTime.delay`).
        `running`: how many other statements of the person run or wait for a connection.

        Raises:
            SearchTooSlow: it exceeded its time budget.
            DatabaseUnavailable: the database cannot be reached, or does not respond in time.
            DatabaseNotSetUp: row-level security, or another part, is missing.
            OutcomeUnknown: a write was sent, and then the database became unavailable.
        """
        until = until or self.deadline()
        arguments = [values[name] for name in statement.names]
        retries_if_lost, retries_behind_pooler = 1, 3
        while True:
            connection = self._checkout.acquire_idle()
            if connection is None:
                connection = await self._acquire(self._checkout.acquire(until, self._delay(person, running)))
            began = asyncio.get_running_loop().time()
            ends = until if statement.budget is None else min(until, began + statement.budget)
            self._deadlines.watch(connection, ends)
            try:
                try:
                    rows = await connection.fetch(statement.sql, *arguments)
                finally:
                    self._note_used_time(person, began)
            except BaseException as caught:
                error = error_at_deadline(caught) if self._deadlines.unwatch(connection) else caught
                self._checkout.release(connection, error)
                if ends < until and isinstance(error, TimeoutError):
                    raise SearchTooSlow(f"a search took more than {statement.budget} s") from error
                lost = means_lost(error) and (statement.reads or means_unsent(error))
                if means_pooler(error) and retries_behind_pooler:  # the statement was not executed
                    retries_behind_pooler -= 1
                elif lost and retries_if_lost:
                    retries_if_lost -= 1
                else:
                    await self._expect_set_up(error, until)
                    self._raise_domain_error(error, may_be_done=not statement.reads)
                    raise
            else:
                self._deadlines.unwatch(connection)
                self._checkout.release(connection)
                self._trouble = None
                return rows  # type: ignore[return-value]  # a Record is a mapping, but its type does not declare it

    @asynccontextmanager
    async def transaction(
        self, *, until: float | None = None, person: UserId | None = None, running: int = 0
    ) -> AsyncIterator[Transaction]:
        """Run several statements in one transaction. An exception in the block rolls it back.

        The deadline is that of the whole transaction. COMMIT is confirmed before the block is left. The
        errors are those of `fetch`; OutcomeUnknown: COMMIT was sent and not confirmed.
        """
        until = until or self.deadline()
        delay = self._delay(person, running)
        connection = await self._acquire(self._checkout.acquire_with_transaction(until, delay))
        began = asyncio.get_running_loop().time()
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
            self._raise_domain_error(error, may_be_done=committing)
            raise
        finally:
            self._note_used_time(person, began)
        self._checkout.release(connection)
        self._trouble = None

    async def trouble(self) -> str | None:
        """Return why the database cannot be used; None if it can.

        If the last statement and the last check of row-level security succeeded, nothing is sent, and a
        suspended database stays suspended. Otherwise one connection outside the pool is opened for all
        callers.
        """
        found = None
        if self._trouble is not None or self.walls_trouble is not None:
            if self._probing is None or self._probing.done():
                self._probing = asyncio.get_running_loop().create_task(self._probe())
            probing = self._probing
            await asyncio.wait([probing])
            # Not `_trouble`: a request may have set it in between, because one statement failed.
            found = self._trouble if probing.cancelled() else probing.result()
        return found or self.walls_trouble

    @property
    def walls_trouble(self) -> str | None:
        """The faults of the last check of row-level security; None if there were none."""
        return self._checkout.wall.trouble

    async def _probe(self) -> str | None:
        """Check the database, and return why it cannot be used; None if it can."""
        found = None
        try:
            await self._checkout.probe(self.deadline())
        except DatabaseUnavailable as error:
            found = error.reason
        except Exception as error:  # noqa: BLE001 - any error is the answer
            found = f"{type(error).__name__}: the database does not answer"
        self._trouble = found
        return found

    def _delay(self, person: UserId | None, running: int) -> float:
        return 0.0 if person is None else self._used_time.delay(person, running)

    def _note_used_time(self, person: UserId | None, began: float) -> None:
        seconds = asyncio.get_running_loop().time() - began
        if seconds >= USED_TIME_MIN and person is not None:
            self._used_time.add(person, seconds)

    async def _acquire(self, acquiring: Awaitable[T]) -> T:
        try:
            return await acquiring
        except Exception as error:
            self._raise_domain_error(error, may_be_done=False)
            raise

    async def _expect_set_up(self, error: BaseException, until: float) -> None:
        """Raise DatabaseNotSetUp if a missing part explains an error. Otherwise the error is our bug."""
        if not isinstance(error, SyntaxOrAccessError):
            return
        if self.walls_trouble is None:
            await self._acquire(self._checkout.check_row_security(until))
        self._checkout.wall.raise_if_broken()

    def _raise_domain_error(self, error: BaseException, *, may_be_done: bool) -> None:
        """Raise the domain's error for an error of the database. Leave any other error to the caller."""
        if isinstance(error, PoolExhausted):  # no trouble of the database: other requests use it
            raise DatabaseUnavailable(f"PoolExhausted: {error}") from error
        if isinstance(error, DatabaseUnavailable):
            self._trouble = error.reason
        if not means_unreachable(error):
            return
        self._trouble = f"{type(error).__name__}: the database does not answer"
        unknown = may_be_done and not (means_undone(error) or means_unsent(error))
        raise (OutcomeUnknown if unknown else DatabaseUnavailable)(self._trouble) from error
