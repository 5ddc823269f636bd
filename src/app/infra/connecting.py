"""Opening connections to the address as pasted, and what the driver's errors mean."""

import asyncio
import ssl
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg import exceptions as pg

from app.settings.database_address import DatabaseAddress

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_TIMEOUT: Final = 10.0  # seconds for one attempt, where the caller has no deadline of its own
OPENING_BUDGET: Final = 2.0  # seconds in which a refused attempt is repeated
FIRST_PAUSE: Final = 0.05  # seconds before the second attempt; doubled each time

NOT_YET: Final = (
    ConnectionRefusedError,
    ConnectionResetError,
    pg.CannotConnectNowError,
    pg.ConnectionDoesNotExistError,
)
"""A server that is starting, stopping or waking. Nothing was sent, so trying again is safe."""

POOLERS: Final = (
    pg.InvalidSQLStatementNameError,  # 26000: prepared on another server connection
    pg.DuplicatePreparedStatementError,  # 42P05: prepared there by another client
)
"""What a transaction pooler's servers say to a client that keeps prepared statements."""

UNREACHABLE: Final = (
    *POOLERS,
    TimeoutError,
    OSError,
    pg.InterfaceError,  # the connection is closed
    pg.InternalClientError,  # it is about to be, see `means_unsent`
    pg.PostgresConnectionError,  # class 08
    pg.InsufficientResourcesError,  # class 53: disk full, too many connections
    pg.OperatorInterventionError,  # class 57: shutdown, cancelled
    pg.LockNotAvailableError,  # 55P03
    pg.ReadOnlySQLTransactionError,  # 25006: a failover, a quota
    pg.InvalidAuthorizationSpecificationError,  # class 28: a password that changed under us
    pg.InvalidCatalogNameError,  # 3D000: the database is gone
)
"""The database's trouble and not the caller's: worth asking again later."""


async def connect(address: DatabaseAddress) -> Connection:
    """Open a connection, repeating the attempt within a budget while the server is not ready.

    A Neon that wakes takes the connection at once and answers late, which is waited for.

    Raises:
        OSError, TimeoutError, asyncpg.PostgresError: it could not be opened.

    """
    pause, spent = FIRST_PAUSE, 0.0
    while True:
        try:
            connection: Connection = await asyncpg.connect(**driver_arguments(address))
        except NOT_YET:
            if spent >= OPENING_BUDGET:
                raise
        else:
            if address.pooled:
                _set_nothing(connection)
            return connection
        await asyncio.sleep(pause)
        pause, spent = pause * 2, spent + pause


def _set_nothing(connection: Connection) -> None:
    """Keep the driver from SETting `jit` where it meets a type for the first time: no option does."""
    connection._server_caps = connection._server_caps._replace(jit=False)  # type: ignore[attr-defined]  # noqa: SLF001 - stubs leave it out


def driver_arguments(address: DatabaseAddress) -> dict[str, Any]:
    """Translate an address for asyncpg, which knows nothing of libpq's parameters.

    Behind a transaction pooler no prepared statement may outlive its transaction: another client's
    connection would be asked for it, or answer with another statement's rows.
    """
    return {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password,
        "database": address.database,
        "ssl": ssl.create_default_context(cafile=address.ca_file) if address.tls else False,
        "timeout": CONNECT_TIMEOUT,
        "statement_cache_size": 0 if address.pooled else 100,
        "max_cacheable_statement_size": 64 * 1024,  # bytes; a search for twenty words by due date has 17 KB
        "server_settings": {"application_name": address.application_name},
    }


def means_unreachable(error: BaseException) -> bool:
    """Tell whether an error is the database's trouble. A value that the driver cannot write is our bug."""
    return isinstance(error, UNREACHABLE) and not isinstance(error, pg.DataError)


def means_undone(error: BaseException) -> bool:
    """Tell whether the server said that what it was asked has failed, so that nothing of it was done.

    FATAL is not that: a server process that is ended may have committed a moment before.
    """
    return isinstance(error, pg.PostgresError) and getattr(error, "severity_en", None) == "ERROR"


def means_unsent(error: BaseException) -> bool:
    """Tell whether the driver refused before it sent anything, so that even a write may be asked for again.

    When a server process ends, asyncpg reads its last words some milliseconds before it knows that the
    connection is closed.
    """
    about_to_close = isinstance(error, pg.InternalClientError) and "cannot switch to state" in str(error)
    closed = isinstance(error, pg.InterfaceError) and not isinstance(error, pg.DataError)
    return about_to_close or closed


def means_pooler(error: BaseException) -> bool:
    """Tell whether a statement failed because a transaction pooler sent it where it was not prepared."""
    mixed_up = isinstance(error, pg.ProtocolViolationError) and "prepared statement" in str(error)
    return isinstance(error, POOLERS) or mixed_up


def means_lost(error: BaseException) -> bool:
    """Tell whether the connection broke, or the server process behind it ended."""
    return means_unreachable(error) and not means_undone(error) and not isinstance(error, TimeoutError)
