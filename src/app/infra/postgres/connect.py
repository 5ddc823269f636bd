"""Opens connections to an address, and says what the errors of the driver mean."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg import exceptions as pg

from app.settings.database_address import DatabaseAddress

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_TIMEOUT: Final = 10.0  # seconds for one attempt, where the caller has no deadline of its own
OPENING_BUDGET: Final = 2.0  # seconds in which a refused attempt is repeated, including the pauses
FIRST_PAUSE: Final = 0.05  # seconds before the second attempt; doubled each time
KEEPALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""The kernel probes an idle connection after 30 s, and closes it after a minute without an answer (tcp(7)).

The kernel of the other side answers, or Neon's proxy, so a suspended compute stays suspended.
"""

NOT_READY: Final = (
    ConnectionRefusedError,
    ConnectionResetError,
    pg.CannotConnectNowError,
    pg.ConnectionDoesNotExistError,
)
"""The server is starting, stopping or resuming. Nothing was sent, so a retry is safe."""

POOLER_ERRORS: Final = (
    pg.InvalidSQLStatementNameError,  # 26000: prepared on another server connection
    pg.DuplicatePreparedStatementError,  # 42P05: prepared there by another client
)
"""Errors behind a transaction pooler that does not track prepared statements."""

UNREACHABLE: Final = (
    *POOLER_ERRORS,
    TimeoutError,
    OSError,
    pg.InterfaceError,  # the connection is closed
    pg.InternalClientError,  # the connection will close soon, see `means_unsent`
    pg.PostgresConnectionError,  # class 08
    pg.InsufficientResourcesError,  # class 53: disk full, too many connections
    pg.OperatorInterventionError,  # class 57: shutdown, cancelled
    pg.LockNotAvailableError,  # 55P03
    pg.ReadOnlySQLTransactionError,  # 25006: a failover, a quota
    pg.InvalidAuthorizationSpecificationError,  # class 28: the password was changed
    pg.InvalidCatalogNameError,  # 3D000: the database was dropped
)
"""Errors that the database caused, not the caller: a retry later may succeed."""


class NamingConnection(asyncpg.Connection):
    """Names a prepared statement by a hash of its text.

    The driver numbers its statements. On a server connection that a pooler shares, `__asyncpg_stmt_1__` of
    two processes would be two statements. A name made from the text is the same statement everywhere.
    """

    async def _get_statement(
        self,
        query: str,
        timeout: float | None,  # noqa: ASYNC109 - the driver's own signature
        *,
        named: str | bool | None = False,
        use_cache: bool = True,
        **options: Any,
    ) -> Any:
        if use_cache and not named:
            named = statement_name(query)
        get = super()._get_statement  # type: ignore[misc]  # the driver's stubs leave it out
        return await get(query, timeout, named=named, use_cache=use_cache, **options)


@lru_cache(maxsize=2048)
def statement_name(sql: str) -> str:
    """Return the name of a prepared statement. PostgreSQL allows 63 bytes."""
    return f"taskward_{blake2b(sql.encode(), digest_size=16).hexdigest()}"


PROBE_NAME: Final = "taskward_probe"
PROBE: Final = "SELECT count(*) = 0 FROM pg_prepared_statements WHERE name = 'taskward_probe'"


async def tracks_prepared_statements(connection: Connection) -> bool:
    """Return whether the pooler tracks its clients' prepared statements (PgBouncer from 1.21 on, Neon's).

    Such a pooler renames each statement on the server. Any other passes the client's name on.
    """
    try:
        async with connection.transaction():
            statement = await connection.prepare(PROBE, name=PROBE_NAME)
            renamed = bool(await statement.fetchval())
            if not renamed:
                await connection.execute(f"DEALLOCATE {PROBE_NAME}")
            return renamed
    except asyncpg.PostgresError as error:
        if means_pooler(error):
            return False
        raise


NO_SETTINGS: Final[Mapping[str, str]] = {}


async def connect(
    address: DatabaseAddress, *, prepared: bool = False, settings: Mapping[str, str] = NO_SETTINGS
) -> Connection:
    """Open a connection. While the server is not ready, repeat the attempt for OPENING_BUDGET seconds.

    A resuming Neon accepts the connection at once and responds late. `prepared`: the pooler tracks prepared
    statements. An error of the last attempt is raised: OSError, TimeoutError or asyncpg.PostgresError.
    """
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
    until = loop.time() + OPENING_BUDGET
    while True:
        try:
            connection: Connection = await asyncpg.connect(
                **driver_arguments(address, prepared=prepared, settings=settings)
            )
        except NOT_READY:
            if loop.time() + pause > until:
                raise
        else:
            _keep_alive(connection)
            if address.pooled:  # keep the driver from SETting `jit`; it has no option for that
                connection._server_caps = connection._server_caps._replace(jit=False)  # type: ignore[attr-defined]  # noqa: SLF001 - stubs leave it out
            return connection
        await asyncio.sleep(pause)
        pause *= 2


def _keep_alive(connection: Connection) -> None:
    """Let the kernel detect a dead connection while it is idle."""
    transport: asyncio.Transport = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001 - stubs leave it out
    opened = transport.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # all three on Linux
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def driver_arguments(
    address: DatabaseAddress, *, prepared: bool = False, settings: Mapping[str, str] = NO_SETTINGS
) -> dict[str, Any]:
    """Translate an address into arguments for asyncpg, which does not read libpq's parameters.

    If the pooler does not track prepared statements, none may outlive its transaction: the next server
    connection does not have it.
    """
    return {
        "connection_class": NamingConnection if prepared else asyncpg.Connection,
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password,
        "database": address.database,
        "ssl": _tls_context(address.ca_file) if address.tls else False,
        "timeout": CONNECT_TIMEOUT,
        "statement_cache_size": 0 if address.pooled and not prepared else 100,
        "max_cacheable_statement_size": 64 * 1024,  # bytes; a test compares it with the longest statement
        "server_settings": {"application_name": address.application_name, **settings},
    }


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the TLS settings for a file of certificates. The file is read again only after it changed.

    Reading the system's certificates blocks the event loop for 20 ms or more.
    """
    return _read_tls_context(ca_file, Path(ca_file).stat().st_mtime_ns if ca_file else 0)


@lru_cache(maxsize=1)
def _read_tls_context(ca_file: str | None, _changed: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def means_unreachable(error: BaseException) -> bool:
    """Return whether the database caused an error. A value that the driver cannot encode is our bug."""
    return isinstance(error, UNREACHABLE) and not isinstance(error, pg.DataError)


def means_undone(error: BaseException) -> bool:
    """Return whether the server reported that the statement failed, so nothing was done.

    A FATAL error does not prove that: a server process may have committed just before it was terminated.
    """
    return isinstance(error, pg.PostgresError) and getattr(error, "severity_en", None) == "ERROR"


def means_unsent(error: BaseException) -> bool:
    """Return whether the driver refused before it sent anything, so that even a write is safe to repeat.

    When a server process ends, asyncpg reads its last message some milliseconds before it sees the connection
    close.
    """
    about_to_close = isinstance(error, pg.InternalClientError) and "cannot switch to state" in str(error)
    closed = isinstance(error, pg.InterfaceError) and not isinstance(error, pg.DataError)
    return about_to_close or closed


def means_pooler(error: BaseException) -> bool:
    """Return whether a pooler sent a statement to a server connection where it was not prepared."""
    mixed_up = isinstance(error, pg.ProtocolViolationError) and "prepared statement" in str(error)
    return isinstance(error, POOLER_ERRORS) or mixed_up


def means_lost(error: BaseException) -> bool:
    """Return whether the connection broke, or its server process ended."""
    return means_unreachable(error) and not means_undone(error) and not isinstance(error, TimeoutError)
