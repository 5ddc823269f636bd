"""Locks the table `tasks` or a person's writes, and waits until statements wait for the lock."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import asyncpg

from dev.postgres import PostgresServer, QueryFailed

PATIENCE = 20  # seconds
TABLE_LOCK = "relation"  # as `wait_event` in `pg_stat_activity`
SLEEP = "PgSleep"  # as `wait_event` in `pg_stat_activity`


@contextmanager
def locked(postgres: PostgresServer, database: str) -> Iterator[None]:
    """Lock the table `tasks`, so that every statement on it waits. Unlock it when the block ends."""

    def hold() -> None:
        with suppress(QueryFailed):  # the query fails, because its server process is ended below
            postgres.query("BEGIN; LOCK TABLE tasks; SELECT pg_sleep(60)", database)

    holding = threading.Thread(target=hold)
    holding.start()
    try:
        until_waiting(postgres, database, SLEEP)
        yield
    finally:
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        postgres.query(f"{terminate} WHERE datname = '{database}' AND wait_event = '{SLEEP}'")
        holding.join()


def until_waiting(postgres: PostgresServer, database: str, event: str = TABLE_LOCK) -> None:
    """Wait until a statement waits for this event: by default for the lock of a table."""
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event = '{event}'"
    deadline = time.monotonic() + PATIENCE
    while postgres.query(waiting) == "0":
        assert time.monotonic() < deadline, f"nothing waits for {event}"
        time.sleep(0.02)


@asynccontextmanager
async def locked_owner(database_url: str, user_id: str) -> AsyncIterator[None]:
    """Lock the row in `task_owners` that each write of the person locks, until the block ends."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM task_owners WHERE user_id = $1 FOR UPDATE", user_id)
            yield
    finally:
        await connection.close()


async def until_blocked(database_url: str, count: int = 1) -> None:
    """Wait until at least this many statements wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(PATIENCE):
            while await connection.fetchval(waiting) < count:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
    finally:
        await connection.close()
