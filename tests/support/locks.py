"""A lock on the tasks that a test holds as long as it likes, and statements that wait for it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dev.cluster import CannotStart
from dev.postgres import PostgresServer

PATIENCE = 20  # seconds
FOR_THE_LOCK = "relation"
HOLDER_SLEEPS = "PgSleep"


@contextmanager
def locked(postgres: PostgresServer, database: str) -> Iterator[None]:
    """Hold a lock that every statement of a task meets, until the block ends."""

    def hold() -> None:
        with suppress(CannotStart):  # its server process is ended below
            postgres.query("BEGIN; LOCK TABLE tasks; SELECT pg_sleep(60)", database)

    holding = threading.Thread(target=hold)
    holding.start()
    try:
        until_waiting(postgres, database, HOLDER_SLEEPS)
        yield
    finally:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        postgres.query(f"{ended} WHERE datname = '{database}' AND wait_event = '{HOLDER_SLEEPS}'")
        holding.join()


def until_waiting(postgres: PostgresServer, database: str, event: str = FOR_THE_LOCK) -> None:
    """Wait until a statement waits for this, in the words of `pg_stat_activity`."""
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event = '{event}'"
    deadline = time.monotonic() + PATIENCE
    while postgres.query(waiting) == "0":
        assert time.monotonic() < deadline, f"nothing waits for {event}"
        time.sleep(0.02)
