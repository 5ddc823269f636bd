"""A connection pool for single statements, and the checkout of its connections.

asyncpg's own pool starts a task at every release, to reset the connection. Here a connection needs no reset,
so acquiring and releasing an idle connection are plain function calls (docs/decisions/0005-the-hot-path.md).
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

import asyncpg
import structlog

from app.infra.postgres.connect import Connection, means_lost, means_pooler
from app.infra.postgres.connector import ADVICE, Connector
from app.infra.postgres.row_security_watch import CHECK_TIMEOUT, RowSecurityWatch
from app.infra.postgres.wait_queue import WaitQueue
from app.settings.database_address import DatabaseAddress

log = structlog.get_logger()

IDLE_LIFETIME: Final = 600.0  # seconds; after that, the next request opens a new connection
CLOSE_TIMEOUT: Final = 2.0  # seconds to close a connection gracefully
WAITING_PER_CONNECTION: Final = 20  # requests


class PoolStats(NamedTuple):
    """Counts of a pool."""

    size: int  # the maximum of open connections
    in_use: int
    idle: int
    opening: int
    waiting: int  # requests that wait for a connection


class Pool:
    """At most `size` connections. The one that was used last is acquired first, so unneeded ones are closed.

    The first connection is opened when it is needed, so the process can start while the database is down.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, size: int) -> None:
        self._connect = connect
        self._size = size
        self._idle: list[tuple[Connection, float]] = []  # each with the time of its last release
        self._in_use: set[Connection] = set()
        self._retired: set[Connection] = set()  # in use, to be closed at release
        self._retirements = 0
        self._opening = 0
        self._wait_queue = WaitQueue(WAITING_PER_CONNECTION * size, lambda: self._opening > 0)
        self._sweep: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def counts(self) -> PoolStats:
        """Return the counts."""
        return PoolStats(self._size, len(self._in_use), len(self._idle), self._opening, len(self._wait_queue))

    def acquire_idle(self) -> "Connection | None":
        """Return an idle connection, if there is one. The caller releases it."""
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                self._in_use.add(connection)
                return connection
        return None

    async def acquire(self, delay: float = 0.0) -> Connection:
        """Return a connection as soon as one is available. The caller releases it.

        `delay`: see `wait_queue.py`. Raises PoolExhausted, asyncpg.InterfaceError if the pool is closed, or
        the error of the attempt to connect.
        """
        while True:
            if self._closed:
                raise asyncpg.InterfaceError("the pool is closed")
            if (idle := self.acquire_idle()) is not None:
                return idle
            if len(self._in_use) + self._opening < self._size:
                return await self._open()
            if (connection := await self._wait_queue.wait(delay, self._give_back)) is not None:
                return connection

    def release(self, connection: Connection) -> None:
        """Return a connection to the pool. If it is closed, another one may be opened."""
        if self._retired and connection in self._retired:
            self._retired.discard(connection)
            connection.terminate()
        if connection.is_closed():
            self._in_use.discard(connection)
            self._wait_queue.serve(None)
        elif self._closed:
            self._in_use.discard(connection)
            connection.terminate()
        elif not (self._wait_queue.timers and self._wait_queue.serve(connection)):
            self._in_use.discard(connection)
            loop = asyncio.get_running_loop()
            self._idle.append((connection, loop.time()))
            if self._sweep is None:
                self._sweep = loop.call_later(IDLE_LIFETIME, self._close_unused)

    def cut_off(self, connection: Connection) -> None:
        """Close a connection whose statement the driver is cancelling.

        It is closed when the statement has ended, or after CLOSE_TIMEOUT: PostgreSQL and poolers continue a
        statement whose connection is closed, and a pooler cannot cancel it any more. No request waits for
        the end. If twice `size` connections are closing, the connection is closed at once.
        """
        self._in_use.discard(connection)
        self._retired.discard(connection)
        if connection.is_closed() or len(self._closing) >= 2 * self._size:
            connection.terminate()
        else:
            self._close_gracefully(connection)
        self._wait_queue.serve(None)

    def close_idle(self) -> None:
        """Close all idle connections."""
        for connection, _ in self._idle:
            self._close_gracefully(connection)
        self._idle.clear()

    def retire(self) -> None:
        """Close all connections: idle ones now, opening ones once open, used ones at their release."""
        self._retirements += 1
        self.close_idle()
        self._retired.update(self._in_use)

    async def close(self) -> None:
        """Close every connection, including those in use."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        self.close_idle()
        for connection in self._in_use:
            connection.terminate()
        while self._wait_queue.serve(None):
            pass
        await asyncio.gather(*self._closing)

    async def _open(self) -> Connection:
        self._opening += 1
        try:
            connection = await self._connect_unretired()
        except BaseException:
            self._opening -= 1
            self._wait_queue.serve(None)  # there is room for another attempt
            raise
        self._opening -= 1
        self._in_use.add(connection)
        return connection

    async def _connect_unretired(self) -> Connection:
        """Open a connection. If `retire` was called in the meantime, close it and open another one."""
        while True:
            retirements = self._retirements
            connection = await self._connect()
            if retirements == self._retirements:
                return connection
            connection.terminate()

    def _give_back(self, connection: "Connection | None") -> None:
        """Give another request what this one cannot use: a connection, or None, so that it may open one."""
        if connection is None:
            self._wait_queue.serve(None)
        else:
            self.release(connection)

    def _close_unused(self) -> None:
        """Close connections that no request has used for a while, for example after a burst of requests."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_LIFETIME
        for connection, since in self._idle:
            if since <= oldest:
                self._close_gracefully(connection)
        self._idle = [(connection, since) for connection, since in self._idle if since > oldest]
        next_due = min((since for _, since in self._idle), default=None)
        self._sweep = None if next_due is None else loop.call_at(next_due + IDLE_LIFETIME, self._close_unused)

    def _close_gracefully(self, connection: Connection) -> None:
        async def close() -> None:
            with suppress(Exception):  # asyncpg terminates a connection that it cannot close in time
                await connection.close(timeout=CLOSE_TIMEOUT)

        task = asyncio.get_running_loop().create_task(close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class Checkout:
    """Checks out connections of the pool, after row-level security was checked once.

    Nothing of the request was sent before, so an error here is safe to retry.
    """

    def __init__(self, address: DatabaseAddress, *, pool_size: int, statement_timeout: float) -> None:
        self._connector = Connector(
            address,
            statement_timeout=statement_timeout,
            report=lambda sign: log.warning("transaction pooler found", sign=sign, advice=ADVICE),
        )
        self._pool_size = pool_size
        self.open()
        self.wall = RowSecurityWatch()
        self._checking: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Make an empty pool."""
        self._pool = Pool(self._connector.connect, size=self._pool_size)

    async def close(self) -> None:
        """Close every connection."""
        self.wall.close()
        if self._checking is not None:
            self._checking.cancel()
        await self._pool.close()

    def counts(self) -> PoolStats:
        """Return the counts of the pool."""
        return self._pool.counts()

    @property
    def prepares(self) -> bool:
        """Whether a connection prepares each statement once and runs it by name."""
        return self._connector.prepares

    def acquire_idle(self) -> "Connection | None":
        """Return an idle connection, if there is one. The caller releases it."""
        return self._pool.acquire_idle() if self.wall.has_passed else None

    async def acquire(self, until: float, delay: float = 0.0) -> Connection:
        """Return a connection as soon as one is available. The caller releases it.

        Raises TimeoutError, an error of `Pool.acquire`, or DatabaseNotSetUp if row-level security is broken
        and no check has passed before.
        """
        async with asyncio.timeout_at(until):
            while True:
                connection = await self._pool.acquire(delay)
                if self.wall.has_passed:
                    return connection
                try:
                    await self.wall.check(connection)
                    self.wall.raise_if_broken()
                except BaseException as error:
                    connection.terminate()
                    self.release(connection, error)
                    if not means_pooler(error):  # else retry: the next connection prepares no statements
                        raise
                else:
                    return connection

    async def probe(self, until: float) -> None:
        """Run a statement on a new connection: those of the pool may all be busy.

        Raises DatabaseNotSetUp if row-level security is broken, or the driver's error if the database does
        not respond.
        """
        async with asyncio.timeout_at(until):
            connection = await self._connector.connect()
            try:
                if not self.wall.has_passed or self.wall.trouble is not None:
                    await self.wall.check(connection)
                    self.wall.raise_if_broken()
                await connection.execute("SELECT 1")
            finally:
                connection.terminate()

    async def acquire_with_transaction(self, until: float, delay: float) -> Connection:
        """Return a connection in a transaction. If the first connection is broken, try another one."""
        for may_retry in (True, False):
            connection = self.acquire_idle() or await self.acquire(until, delay)
            try:
                async with asyncio.timeout_at(until):
                    await connection.execute("BEGIN")
            except BaseException as error:
                connection.terminate()
                self.release(connection, error)
                if not (may_retry and isinstance(error, Exception) and means_lost(error)):
                    raise
            else:
                return connection
        raise AssertionError("the last attempt returns or raises")

    def release(self, connection: Connection, error: BaseException | None = None) -> None:
        """Return a connection to the pool. A broken one, or one with an unfinished statement, is closed."""
        if error is not None:
            self._release_after(error, connection)
            return
        self._pool.release(connection)
        if self.wall.due:
            self.wall.due = False
            self._checking = asyncio.get_running_loop().create_task(self._check_when_due())

    def _release_after(self, error: BaseException, connection: Connection) -> None:
        if isinstance(error, Exception) and means_lost(error):
            self._pool.close_idle()  # other idle connections may be broken too
        if isinstance(error, Exception) and means_pooler(error):
            self._connector.stop_preparing(type(error).__name__)
            self._pool.retire()  # each connection has prepared statements
        if isinstance(error, asyncpg.InternalClientError):
            connection.terminate()  # otherwise closing would wait beyond the deadline
        if isinstance(error, TimeoutError | asyncio.CancelledError):
            self._pool.cut_off(connection)
        else:
            self._pool.release(connection)

    async def check_row_security(self, until: float) -> None:
        """Check row-level security, after an error that its absence may explain."""
        await self._check_on(await self.acquire(until), until)

    async def _check_when_due(self) -> None:
        """Check row-level security again, on an open connection that a statement just used."""
        connection = self.acquire_idle()
        if connection is None:  # none is idle: check after the next statement
            self.wall.due = True
            return
        with suppress(Exception):  # if the connection broke, the next request will report it
            await self._check_on(connection, asyncio.get_running_loop().time() + CHECK_TIMEOUT)

    async def _check_on(self, connection: Connection, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self.wall.check(connection)
        except BaseException as error:
            self.release(connection, error)
            raise
        self.release(connection)
