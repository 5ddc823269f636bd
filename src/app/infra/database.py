"""Neon, as statements that are run whole or not at all."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import structlog

from app.domain.errors import DatabaseUnavailable
from app.infra.connecting import Connection, connect, means_unreachable
from app.infra.owned import Row
from app.infra.pool import Counts, Pool
from app.infra.statements.walls import Statement
from app.infra.transaction import Transaction, begun
from app.infra.wall import gaps
from app.settings.database_address import DatabaseAddress

log = structlog.get_logger()

POOL_SIZE: Final = 10  # connections a process
DEADLINE: Final = 5.0  # seconds for waiting, connecting and the statement together
IDLE_LIFETIME: Final = 60.0  # seconds; a connection that lay longer may have died unnoticed on the way


class Database:
    """A pool of connections that is opened when first needed and never asks anything by itself."""

    def __init__(self, address: DatabaseAddress, *, pool_size: int = POOL_SIZE) -> None:
        self._address = address
        self._pool_size = pool_size
        self._pool: Pool | None = None
        self._walled = False
        self._trouble: str | None = "not asked yet"

    async def open(self) -> None:
        """Make the pool. Connects to nothing, so it works while the database is away."""
        self._pool = Pool(lambda: connect(self._address), size=self._pool_size, idle_lifetime=IDLE_LIFETIME)

    async def close(self) -> None:
        """Give every connection back."""
        if self._pool is not None:
            await self._pool.close()

    def counts(self) -> Counts:
        """Tell how the pool stands."""
        return self._pool.counts() if self._pool is not None else Counts(self._pool_size, 0, 0, 0, 0)

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        """Run one statement in its own transaction and return its rows.

        Raises:
            DatabaseUnavailable: it cannot be reached, does not answer in time, or its wall is down.

        """
        arguments = [values[name] for name in statement.names]
        try:
            async with asyncio.timeout(DEADLINE):
                rows = await self._run(statement.sql, arguments)
        except Exception as error:
            if not means_unreachable(error):
                raise
            self._trouble = f"{type(error).__name__}: the database does not answer"
            raise DatabaseUnavailable(self._trouble) from error
        self._trouble = None
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run several statements whole or not at all: whatever the block raises undoes them.

        They have one deadline together. COMMIT is confirmed before the block is left.

        Raises:
            DatabaseUnavailable: as `fetch` does. It may have been done only where COMMIT was not confirmed.

        """
        try:
            async with (
                asyncio.timeout(DEADLINE),
                self._lent() as connection,
                begun(connection) as transaction,
            ):
                yield transaction
        except Exception as error:
            if not means_unreachable(error):
                raise
            self._trouble = f"{type(error).__name__}: the database does not answer"
            raise DatabaseUnavailable(self._trouble) from error
        self._trouble = None

    async def trouble(self) -> str | None:
        """Return why the database cannot be used; None if it can.

        Where the last statement succeeded nothing is asked: a database that sleeps is left asleep.
        """
        if self._trouble is not None:
            try:
                await self.fetch(Statement("SELECT 1", ()), {})
            except DatabaseUnavailable as error:
                return error.reason
        return self._trouble

    async def _run(self, sql: str, arguments: list[object]) -> Sequence[Row]:
        if self._pool is None:
            raise asyncpg.InterfaceError("the pool is not open")
        connection = await self._pool.take()
        try:
            if not self._walled:
                await self._check_wall(connection)
            rows = await connection.fetch(sql, *arguments)
        except (TimeoutError, asyncio.CancelledError):
            connection.terminate()  # it would otherwise be waited for, longer than the deadline
            raise
        finally:
            self._pool.give_back(connection)
        return rows  # type: ignore[return-value]  # a Record is a mapping, though it does not say so

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise asyncpg.InterfaceError("the pool is not open")
        connection = await self._pool.take()
        try:
            if not self._walled:
                await self._check_wall(connection)
            yield connection
        except (TimeoutError, asyncio.CancelledError):
            connection.terminate()
            raise
        finally:
            self._pool.give_back(connection)

    async def _check_wall(self, connection: Connection) -> None:
        async with connection.transaction(readonly=True):
            found = await gaps(connection)
        if found:
            reason = "the wall between owners does not stand: " + "; ".join(map(str, found))
            log.error("wall down", gaps=[str(gap) for gap in found])
            self._trouble = reason
            raise DatabaseUnavailable(reason)
        self._walled = True
