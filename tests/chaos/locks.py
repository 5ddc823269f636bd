"""Locks the table of tasks from another connection."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.harness import Harness
from tests.support.waiting import wait_until

HELD = "SELECT count(*) FROM pg_locks WHERE granted AND relation = 'tasks'::regclass AND mode = '{}Lock'"


@contextmanager
def locked(harness: Harness, mode: str, seconds: float) -> Iterator[None]:
    """Lock the table of tasks for `seconds`. The mode `SHARE` blocks writes, `ACCESS EXCLUSIVE` blocks reads too."""
    name = mode.title().replace(" ", "")
    holding = threading.Thread(
        target=harness.sql,
        args=(f"BEGIN; LOCK TABLE tasks IN {mode} MODE; SELECT pg_sleep({seconds}); COMMIT",),
    )
    holding.start()
    try:
        wait_until(lambda: harness.sql(HELD.format(name)) != "0")
        yield
    finally:
        holding.join()
