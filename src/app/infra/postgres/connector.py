"""Opens connections in the right mode: to PostgreSQL itself, or to a transaction pooler.

A transaction pooler (PgBouncer, Supavisor, Neon's) gives each transaction any of its server connections. A
SET would stay on that connection and affect other clients, so behind a pooler nothing is SET. A prepared
statement could be missing there, or belong to another client, unless the pooler tracks prepared statements:
the first connection tests that.

`pgbouncer=true` in the address announces a pooler. Without it the first connection detects one: the
cancellation key (BackendKeyData) of PostgreSQL has the id of the server process, and that of a pooler does
not.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import asyncpg

from app.infra.postgres.connect import Connection, connect, tracks_prepared_statements
from app.settings.database_address import DatabaseAddress

ADVICE: Final = "add pgbouncer=true to DATABASE_URL (pgbouncer=false if the pooler is in session mode)"
SETTINGS_ARRIVED: Final = "current_setting('plan_cache_mode') = 'force_generic_plan'"


def session_settings(statement_timeout: float | None) -> dict[str, str]:
    """Return the settings of a session. Connections of a pooler get none.

    The server ends a statement at its time limit, and a transaction that is idle for as long. A prepared
    statement is planned only once. Without that setting PostgreSQL would plan a list each time, because it
    assumes that an unknown LIMIT is a tenth of all rows.
    """
    settings = {"plan_cache_mode": "force_generic_plan"}
    if statement_timeout is not None:
        timeouts = ("statement_timeout", "idle_in_transaction_session_timeout")
        settings |= dict.fromkeys(timeouts, str(int(statement_timeout * 1000)))
    return settings


@asynccontextmanager
async def open_connection(address: DatabaseAddress) -> AsyncIterator[Connection]:
    """Open a connection for the block."""
    connection = await Connector(address).connect()
    try:
        yield connection
    finally:
        await connection.close()


class Connector:
    """Opens connections to one address, and remembers what the first ones show about it."""

    def __init__(
        self,
        address: DatabaseAddress,
        *,
        statement_timeout: float | None = None,  # seconds; None leaves the server's own
        report: Callable[[str], None] = lambda _: None,  # gets the evidence once, if a pooler is detected
    ) -> None:
        self.address = address
        self._settings = session_settings(statement_timeout)
        self._sets_at_startup: bool | None = None  # whether the start-up message sets them; None: unknown
        self._report = report
        self._prepared: bool | None = None  # whether the pooler tracks prepared statements; None: unknown

    @property
    def prepares(self) -> bool:
        """Whether a connection prepares each statement once and runs it by name."""
        return not self.address.pooled or bool(self._prepared)

    async def connect(self) -> Connection:
        """Open a connection; raise the errors of `connect`."""
        if not self.address.pooled:
            connection = await self._connect_to_session()
            if connection is not None:
                return connection
            if not self.address.pooled:  # another connection may have detected it meanwhile
                self._note_pooler("the cancellation key is not that of its server process")
        return await self._connect_through_pooler()

    def stop_preparing(self, sign: str) -> None:
        """Never prepare statements again, because a pooler does not track them. Report that once."""
        if self.prepares:
            self._prepared = False
            self._note_pooler(sign)

    def _note_pooler(self, sign: str) -> None:
        self.address = replace(self.address, pooled=True)
        self._report(sign)

    async def _connect_through_pooler(self) -> Connection:
        if self._prepared is not None:
            return await connect(self.address, prepared=self._prepared)
        connection = await connect(self.address, prepared=True)
        try:
            prepared = await tracks_prepared_statements(connection)
        except BaseException:
            connection.terminate()
            raise
        if self._prepared is None:
            self._prepared = prepared
        if self._prepared:
            return connection
        connection.terminate()
        return await connect(self.address)

    async def _connect_to_session(self) -> "Connection | None":
        """Open a connection with our settings. Return None if it is a pooler's, where nothing may be SET.

        The start-up message carries the settings, which costs no round trip. A pooler refuses or drops it, so
        the first connection checks them. If they do not arrive, each connection SETs its own.
        """
        connection = None
        if self._sets_at_startup is not False:
            try:
                connection = await connect(self.address, settings=self._settings)
            except asyncpg.ProtocolViolationError:  # PgBouncer: "unsupported startup parameter"
                self._sets_at_startup = False
        if connection is None:
            connection = await connect(self.address)
        try:
            if self._sets_at_startup is None:
                self._sets_at_startup = await self._returns_row(connection, "1", SETTINGS_ARRIVED)
            if self._sets_at_startup or await self._returns_row(connection, self._set_configs()):
                return connection
        except BaseException:
            connection.terminate()
            raise
        connection.terminate()
        return None

    async def _returns_row(self, connection: Connection, columns: str, condition: str = "true") -> bool:
        """Return whether a query returns a row. On a connection of a pooler it returns none.

        One statement checks and sets, so that it cannot check one server connection and set another.
        """
        if self.address.pooled is None:
            condition += f" AND pg_backend_pid() = {connection.get_server_pid()}"
        return await connection.execute(f"SELECT {columns} WHERE {condition}") == "SELECT 1"

    def _set_configs(self) -> str:
        return ", ".join(f"set_config('{name}', '{value}', false)" for name, value in self._settings.items())
