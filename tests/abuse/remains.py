"""Checks that a flood leaves nothing behind: no statement that runs, no descriptor, no memory."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from dev.postgres import PostgresServer
from tests.support.processes import descriptors, memory
from tests.support.servers.service import Service

STATEMENTS_WITHIN: Final = 2.0  # seconds until the statements of the flood have ended
CONNECTIONS_WITHIN: Final = 15.0  # seconds: an idle connection is closed after 10
POOL_DESCRIPTORS: Final = 12  # descriptors: the pool may have opened its 10 connections, and two to spare
MEMORY: Final = 120  # MB that the allocator may keep; bodies and responses may take 64 and more
ACTIVE: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE state <> 'idle' AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()
"""


@contextmanager
def nothing_left(
    service: Service, postgres: PostgresServer, database: str, memory_max: float = MEMORY
) -> Iterator[None]:
    """Check that the service and its database use hardly more after the block than before it.

    `memory_max`: how many MB more the service may hold.
    """
    open_before, held_before = descriptors(service), memory(service)
    yield
    running = eventually(lambda: int(postgres.query(ACTIVE, database)), 0, STATEMENTS_WITHIN)
    held_open = eventually(lambda: descriptors(service), open_before + POOL_DESCRIPTORS, CONNECTIONS_WITHIN)
    held = memory(service) - held_before
    assert running == 0, f"{running} statements still run"
    assert held_open <= open_before + POOL_DESCRIPTORS, (
        f"{held_open} descriptors are open, {open_before} were"
    )
    assert held < memory_max, f"{held:.0f} MB more are held"


def eventually(count: Callable[[], int], most: int, within: float) -> int:
    """Call `count` until it returns at most `most`, or `within` seconds are over; return the last count."""
    deadline = time.monotonic() + within
    while (now := count()) > most and time.monotonic() < deadline:
        time.sleep(0.2)
    return now
