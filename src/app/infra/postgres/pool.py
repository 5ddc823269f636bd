"""A connection pool for single statements.

asyncpg's own pool starts a task at every release, to reset the connection. Here a connection needs no reset
(docs/decisions/0005-the-hot-path.md has the figures). Acquiring and releasing an idle connection are plain
function calls; a caller waits only if no connection is idle.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

import asyncpg

from app.infra.postgres.connect import Connection
from app.infra.postgres.wait_queue import WaitQueue

CLOSE_TIMEOUT: Final = 2.0  # seconds to close a connection gracefully
QUEUE: Final = 20  # waiting requests allowed per connection


class PoolStats(NamedTuple):
    """Counts of a pool."""

    size: int  # the maximum of open connections
    in_use: int
    idle: int
    opening: int
    waiting: int  # requests that wait for a connection


class Pool:
    """At most `size` connections. The one used last is acquired first, so that few stay in use."""

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], *, size: int, idle_lifetime: float
    ) -> None:
        self._connect = connect
        self._size = size
        self._idle_lifetime = idle_lifetime  # seconds
        self._idle: list[tuple[Connection, float]] = []  # with the time since when
        self._in_use: set[Connection] = set()
        self._retired: set[Connection] = set()  # in use, to be closed at release
        self._retirements = 0
        self._opening = 0
        self._wait_queue = WaitQueue(QUEUE * size, lambda: self._opening > 0)
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

    async def acquire(self) -> Connection:
        """Return a connection as soon as one is available. The caller releases it.

        Raises:
            PoolExhausted: the queue is full, or no connection became free in time.
            asyncpg.InterfaceError: the pool is closed.
            OSError, TimeoutError, asyncpg.PostgresError: no connection could be opened.

        """
        while True:
            if self._closed:
                raise asyncpg.InterfaceError("the pool is closed")
            if (idle := self.acquire_idle()) is not None:
                return idle
            if len(self._in_use) + self._opening < self._size:
                return await self._open()
            if (connection := await self._wait_for_turn()) is not None:
                return connection

    def release(self, connection: Connection) -> None:
        """Return a connection to the pool. A closed one makes room for another."""
        if self._retired and connection in self._retired:
            self._retired.discard(connection)
            connection.terminate()
        if connection.is_closed():
            self._in_use.discard(connection)
            self._wait_queue.serve(None)
        elif self._closed:
            self._in_use.discard(connection)
            connection.terminate()
        elif not (self._wait_queue.turns and self._wait_queue.serve(connection)):
            self._in_use.discard(connection)
            loop = asyncio.get_running_loop()
            self._idle.append((connection, loop.time()))
            if self._sweep is None:
                self._sweep = loop.call_later(self._idle_lifetime, self._close_unused)

    def cut_off(self, connection: Connection) -> None:
        """Return a connection whose statement the driver is cancelling.

        PostgreSQL and poolers continue a statement whose connection is closed, and a pooler cannot cancel for
        a closed connection. So the connection is closed after the statement has ended, or after
        CLOSE_TIMEOUT. No request waits for that. At most twice `size` connections are closing at a time.
        """
        self._in_use.discard(connection)
        self._retired.discard(connection)
        if connection.is_closed() or len(self._closing) >= 2 * self._size:  # up to `size` of them were idle
            connection.terminate()
        else:
            self._close_gracefully(connection)
        self._wait_queue.serve(None)

    def distrust(self) -> None:
        """Close idle connections: if one is broken, the others may be broken too."""
        for connection, _ in self._idle:
            self._close_gracefully(connection)
        self._idle.clear()

    def retire(self) -> None:
        """Close idle connections and those that are opening now, and those in use when they are released."""
        self._retirements += 1
        self.distrust()
        self._retired.update(self._in_use)

    async def close(self) -> None:
        """Close every connection, including those in use."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        self.distrust()
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
        """Open a connection. If `retire` was called meanwhile, it is outdated: open another."""
        while True:
            retirements = self._retirements
            connection = await self._connect()
            if retirements == self._retirements:
                return connection
            connection.terminate()

    async def _wait_for_turn(self) -> "Connection | None":
        """Wait for a connection, or for None: room to open one."""
        turn = self._wait_queue.join()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was granted at the moment of the cancellation
                connection = turn.result()
                if connection is None:
                    self._wait_queue.serve(None)
                else:
                    self.release(connection)
            raise
        finally:
            self._wait_queue.leave(turn)

    def _close_unused(self) -> None:
        """Close connections that a burst of requests left behind, so that the server need not hold them."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._idle_lifetime
        for connection, since in self._idle:
            if since <= oldest:
                self._close_gracefully(connection)
        self._idle = [(connection, since) for connection, since in self._idle if since > oldest]
        next_due = min((since for _, since in self._idle), default=None)
        self._sweep = (
            None if next_due is None else loop.call_at(next_due + self._idle_lifetime, self._close_unused)
        )

    def _close_gracefully(self, connection: Connection) -> None:
        async def close() -> None:
            with suppress(Exception):  # asyncpg terminates a connection that it cannot close in time
                await connection.close(timeout=CLOSE_TIMEOUT)

        task = asyncio.get_running_loop().create_task(close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
