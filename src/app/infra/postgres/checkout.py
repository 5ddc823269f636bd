"""Checks out pooled connections for one statement or one transaction.

Nothing was sent yet, so an error here is safe to retry.
"""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg
import structlog

from app.infra.postgres.connect import Connection, means_lost, means_pooler
from app.infra.postgres.connector import ADVICE, Connector
from app.infra.postgres.pool import Pool, PoolStats
from app.infra.postgres.row_security_watch import LOOK_TIMEOUT, RowSecurityWatch
from app.settings.database_address import DatabaseAddress

log = structlog.get_logger()

IDLE_LIFETIME: Final = 600.0  # seconds; after that, the next request opens a new connection


class Checkout:
    """Checks out connections of the pool, after row-level security was checked once."""

    def __init__(self, address: DatabaseAddress, *, pool_size: int, statement_timeout: float) -> None:
        self._connector = Connector(
            address,
            statement_timeout=statement_timeout,
            report=lambda sign: log.warning("transaction pooler found", sign=sign, advice=ADVICE),
        )
        self._pool_size = pool_size
        self._pool: Pool | None = None
        self.wall = RowSecurityWatch()
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Create the pool. It does not connect, so this works while the database is down."""
        self._pool = Pool(self._connector.connect, size=self._pool_size, idle_lifetime=IDLE_LIFETIME)

    async def close(self) -> None:
        """Close every connection."""
        self.wall.close()
        if self._looking is not None:
            self._looking.cancel()
        if self._pool is not None:
            await self._pool.close()

    def counts(self) -> PoolStats:
        """Return the counts of the pool."""
        return self._pool.counts() if self._pool is not None else PoolStats(self._pool_size, 0, 0, 0, 0)

    @property
    def prepares(self) -> bool:
        """Whether a connection prepares each statement once and runs it by name."""
        return self._connector.prepares

    def idle(self) -> "Connection | None":
        """Return an idle connection, if there is one. The caller releases it."""
        return self._pool.acquire_idle() if self.wall.stood and self._pool is not None else None

    async def acquire(self, until: float) -> Connection:
        """Return a connection as soon as one is available. The caller releases it.

        Raises:
            DatabaseNotSetUp: row-level security is broken.
            TimeoutError, PoolExhausted, OSError, asyncpg.PostgresError, asyncpg.InterfaceError: none is
                available.

        """
        if self._pool is None:
            raise asyncpg.InterfaceError("the pool is not open")
        async with asyncio.timeout_at(until):
            while True:
                connection = await self._pool.acquire()
                if self.wall.stood:
                    return connection
                try:
                    await self.wall.look(connection)
                    self.wall.refuse()
                except BaseException as error:
                    connection.terminate()
                    self.release(connection, error)
                    if not means_pooler(error):  # the next connection prepares no statements
                        raise
                else:
                    return connection

    async def probe(self, until: float) -> None:
        """Run a statement on a new connection: those of the pool may all be busy.

        Raises:
            DatabaseNotSetUp: row-level security is broken. TimeoutError, OSError, asyncpg.PostgresError,
            asyncpg.InterfaceError: the database does not respond.

        """
        async with asyncio.timeout_at(until):
            connection = await self._connector.connect()
            try:
                if not self.wall.stood or self.wall.trouble is not None:
                    await self.wall.look(connection)
                    self.wall.refuse()
                await connection.execute("SELECT 1")
            finally:
                connection.terminate()

    async def acquire_with_transaction(self, until: float) -> Connection:
        """Return a connection in a transaction. If the first connection is broken, try another one."""
        for may_retry in (True, False):
            connection = self.idle() or await self.acquire(until)
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
        if self._pool is None:
            return
        if isinstance(error, Exception) and means_lost(error):
            self._pool.distrust()  # other idle connections may be broken too
        if isinstance(error, Exception) and means_pooler(error):
            self._connector.statement_lost(type(error).__name__)
            self._pool.retire()  # each has prepared statements
        if isinstance(error, asyncpg.InternalClientError):
            connection.terminate()  # otherwise closing would wait beyond the deadline
        if isinstance(error, TimeoutError | asyncio.CancelledError):
            self._pool.cut_off(connection)
        else:
            self._pool.release(connection)
        if self.wall.due and error is None:
            self.wall.due = False
            self._looking = asyncio.get_running_loop().create_task(self._look_at_times())

    async def look(self, until: float) -> None:
        """Check row-level security, after an error that its absence may explain."""
        await self._look_on(await self.acquire(until), until)

    async def _look_at_times(self) -> None:
        """Check row-level security again, on an open connection that a statement just used."""
        connection = self.idle()
        if connection is None:  # none is idle: check after the next statement
            self.wall.due = True
            return
        with suppress(Exception):  # the next request finds a broken connection
            await self._look_on(connection, asyncio.get_running_loop().time() + LOOK_TIMEOUT)

    async def _look_on(self, connection: Connection, until: float) -> None:
        error: BaseException | None = None
        try:
            async with asyncio.timeout_at(until):
                await self.wall.look(connection)
        except BaseException as caught:
            error = caught
            raise
        finally:
            self.release(connection, error)
