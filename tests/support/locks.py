"""Locks the table `tasks`, and waits until a statement waits for the lock."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dev.cluster import CannotStart
from dev.postgres import PostgresServer

PATIENCE = 20  # seconds
TABLE_LOCK = "relation"  # this and the next one: values of `wait_event` in `pg_stat_activity`
SLEEP = "PgSleep"


@contextmanager
def locked(postgres: PostgresServer, database: str) -> Iterator[None]:
    """Lock the table `tasks`, so that every statement on it waits. Unlock it when the block ends."""

    def hold() -> None:
        with suppress(CannotStart):  # the query fails, because its server process is ended below
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
    """Wait until a statement waits for this event."""
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event = '{event}'"
    deadline = time.monotonic() + PATIENCE
    while postgres.query(waiting) == "0":
        assert time.monotonic() < deadline, f"nothing waits for {event}"
        time.sleep(0.02)
