"""Opens connections in the mode that the other end needs: PostgreSQL itself, or a transaction pooler.

A transaction pooler (PgBouncer, Supavisor, Neon's) gives each transaction any of its server connections.
What is SET there stays, and holds for other clients, so behind a pooler nothing is SET. A prepared statement
would be missing there, or be another client's, unless the pooler keeps them. The first connection tests that.

`pgbouncer=true` in the address names a pooler. Without it the first connection finds the pooler: PostgreSQL
names its own process in the key for cancelling (BackendKeyData), and a pooler invents that key.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import asyncpg

from app.infra.postgres.connect import Connection, connect, keeps_statements
from app.settings.database_address import DatabaseAddress

ADVICE: Final = "add pgbouncer=true to DATABASE_URL (pgbouncer=false where sessions are kept)"
ARRIVED: Final = "current_setting('plan_cache_mode') = 'force_generic_plan'"


def session_settings(statement_timeout: float | None) -> dict[str, str]:
    """Return what holds for a session. A pooler's connections have none of it.

    - The server ends a statement, or a transaction that is idle, and says so: what it ends is undone.
    - A prepared statement is planned once. PostgreSQL would plan a list anew each time: it guesses that a
      LIMIT that it does not know is a tenth of all rows.
    """
    settings = {"plan_cache_mode": "force_generic_plan"}
    if statement_timeout is not None:
        timeouts = ("statement_timeout", "idle_in_transaction_session_timeout")
        settings |= dict.fromkeys(timeouts, str(int(statement_timeout * 1000)))
    return settings


class Connector:
    """Opens connections to one address; what it learns about it holds for all later ones."""

    def __init__(
        self,
        address: DatabaseAddress,
        *,
        statement_timeout: float | None = None,  # seconds; None leaves the server's own
        report: Callable[[str], None] = lambda _: None,  # is called once, with the sign of a pooler
    ) -> None:
        self.address = address
        self._settings = session_settings(statement_timeout)
        self._sets_at_startup: bool | None = None  # whether the start-up message can; None: not known yet
        self._report = report
        self._prepared: bool | None = None  # whether the pooler keeps statements; None: not known yet

    @property
    def prepares(self) -> bool:
        """Whether statements are prepared once for a connection and run again by name."""
        return not self.address.pooled or bool(self._prepared)

    async def connect(self) -> Connection:
        """Open a connection.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError: it could not be opened.

        """
        if not self.address.pooled:
            connection = await self._connect_to_session()
            if connection is not None:
                return connection
            if not self.address.pooled:  # another connection may have found it meanwhile
                self._pooler_found("the key for cancelling is not its server's")
        return await self._connect_through_pooler()

    def statement_lost(self, sign: str) -> None:
        """Prepare nothing for later from now on, and report that once: a pooler mixed statements up."""
        if self.prepares:
            self._prepared = False
            self._pooler_found(sign)

    def _pooler_found(self, sign: str) -> None:
        self.address = replace(self.address, pooled=True)
        self._report(sign)

    async def _connect_through_pooler(self) -> Connection:
        if self._prepared is not None:
            return await connect(self.address, prepared=self._prepared)
        connection = await connect(self.address, prepared=True)
        try:
            prepared = await keeps_statements(connection)
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
        """Open a connection with our settings; return None for a pooler's connection, where nothing is SET.

        The start-up message carries the settings, which costs no round trip. A pooler refuses them or drops
        them, so the first connection checks them. Where they do not arrive, each connection sets its own.
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
                self._sets_at_startup = await self._selects(connection, "1", ARRIVED)
            if self._sets_at_startup or await self._selects(connection, self._set_configs()):
                return connection
        except BaseException:
            connection.terminate()
            raise
        connection.terminate()
        return None

    async def _selects(self, connection: Connection, columns: str, condition: str = "true") -> bool:
        """Return whether a connection to PostgreSQL itself selects a row. A pooler's connection selects none.

        One statement looks and sets, so that it cannot look at one server connection and set on another.
        """
        if self.address.pooled is None:
            condition += f" AND pg_backend_pid() = {connection.get_server_pid()}"
        return await connection.execute(f"SELECT {columns} WHERE {condition}") == "SELECT 1"

    def _set_configs(self) -> str:
        return ", ".join(f"set_config('{name}', '{value}', false)" for name, value in self._settings.items())
