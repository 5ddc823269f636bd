"""A pool of connections, made for one statement at a time.

asyncpg's own pool starts a task for every release, because what a connection was used for may have to be
undone; here nothing has (docs/decisions/0005-the-hot-path.md has the figures). Taking and giving back an
idle connection are plain function calls; only a pool that has none to give makes anyone wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

import asyncpg

from app.infra.postgres.connect import Connection
from app.infra.postgres.wait_queue import WaitQueue

CLOSE_TIMEOUT: Final = 2.0  # seconds for saying goodbye to the server
LINE: Final = 20  # who may wait, for each connection that there may be


class PoolStats(NamedTuple):
    """How a pool stands."""

    size: int  # connections that may be open
    in_use: int
    idle: int
    opening: int
    waiting: int  # who wait for one


class Pool:
    """At most `size` connections, the one used last given out first, so that few stay warm."""

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], *, size: int, idle_lifetime: float
    ) -> None:
        self._connect = connect
        self._size = size
        self._idle_lifetime = idle_lifetime  # seconds
        self._idle: list[tuple[Connection, float]] = []  # with the moment since when
        self._in_use: set[Connection] = set()
        self._retired: set[Connection] = set()  # lent, and closed when they are given back
        self._retirements = 0
        self._opening = 0
        self._wait_queue = WaitQueue(LINE * size, lambda: self._opening > 0)
        self._sweep: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._closed = False

    def counts(self) -> PoolStats:
        """Tell how it stands."""
        return PoolStats(self._size, len(self._in_use), len(self._idle), self._opening, len(self._wait_queue))

    def acquire_idle(self) -> "Connection | None":
        """Return an idle connection, if there is one. The caller releases it."""
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                self._in_use.add(connection)
                return connection
        return None

    async def take(self) -> Connection:
        """Return a connection that is the caller's until it is given back.

        Raises:
            PoolExhausted: too many wait already, or none was released for too long.
            asyncpg.InterfaceError: the pool is closed.
            OSError, TimeoutError, asyncpg.PostgresError: no connection could be opened.

        """
        while True:
            if self._closed:
                raise asyncpg.InterfaceError("the pool is closed")
            if (idle := self.acquire_idle()) is not None:
                return idle
            if len(self._in_use) + self._opening < self._size:
                return await self._opened()
            if (handed := await self._handed_over()) is not None:
                return handed

    def release(self, connection: Connection) -> None:
        """Take a connection back. A closed one makes room for another."""
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
        """Take a connection back in the middle of a statement, which the driver is cancelling.

        PostgreSQL and poolers go on with a statement if only its connection is closed, and a pooler cannot
        cancel for a connection that is closed. So the connection is closed after the statement has ended, or
        after CLOSE_TIMEOUT. No request waits for that. At most twice `size` are closing at a time.
        """
        self._in_use.discard(connection)
        self._retired.discard(connection)
        if connection.is_closed() or len(self._farewells) >= 2 * self._size:  # `size` may have lain idle
            connection.terminate()
        else:
            self._say_goodbye(connection)
        self._wait_queue.serve(None)

    def distrust(self) -> None:
        """Close idle connections: if one broke, the others may have broken too, without a sign."""
        for connection, _ in self._idle:
            self._say_goodbye(connection)
        self._idle.clear()

    def retire(self) -> None:
        """Close idle connections and those that are opening now, and those in use when they are released."""
        self._retirements += 1
        self.distrust()
        self._retired.update(self._in_use)

    async def close(self) -> None:
        """Close every connection; what is still lent is cut off."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        self.distrust()
        for connection in self._in_use:
            connection.terminate()
        while self._wait_queue.serve(None):
            pass
        await asyncio.gather(*self._farewells)

    async def _opened(self) -> Connection:
        self._opening += 1
        try:
            connection = await self._connect_anew()
        except BaseException:
            self._opening -= 1
            self._wait_queue.serve(None)  # there is room for another attempt
            raise
        self._opening -= 1
        self._in_use.add(connection)
        return connection

    async def _connect_anew(self) -> Connection:
        """Open a connection, and another if `retire` was called meanwhile: the first may keep statements."""
        while True:
            retirements = self._retirements
            connection = await self._connect()
            if retirements == self._retirements:
                return connection
            connection.terminate()

    async def _handed_over(self) -> "Connection | None":
        """Wait for a connection, or for None: room to open one."""
        turn = self._wait_queue.join()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # handed over at the moment of giving up
                handed = turn.result()
                if handed is None:
                    self._wait_queue.serve(None)
                else:
                    self.release(handed)
            raise
        finally:
            self._wait_queue.leave(turn)

    def _close_unused(self) -> None:
        """Close connections that a burst of requests left behind, so that the server need not hold them."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._idle_lifetime
        for connection, since in self._idle:
            if since <= oldest:
                self._say_goodbye(connection)
        self._idle = [(connection, since) for connection, since in self._idle if since > oldest]
        next_due = min((since for _, since in self._idle), default=None)
        self._sweep = (
            None if next_due is None else loop.call_at(next_due + self._idle_lifetime, self._close_unused)
        )

    def _say_goodbye(self, connection: Connection) -> None:
        async def goodbye() -> None:
            with suppress(Exception):  # asyncpg terminates what it cannot close in time
                await connection.close(timeout=CLOSE_TIMEOUT)

        task = asyncio.get_running_loop().create_task(goodbye())
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)
