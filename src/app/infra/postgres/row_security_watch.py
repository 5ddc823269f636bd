"""Checks row-level security again while the service runs.

It checks before the first statement, after an error that a missing table, view or right may explain, and once
in each minute in which statements run. So a suspended database stays suspended.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from app.domain.errors import DatabaseNotSetUp
from app.infra.postgres.connect import Connection
from app.infra.postgres.row_security_check import find_gaps

log = structlog.get_logger()

CHECK_EVERY: Final = 60.0  # seconds
CHECK_TIMEOUT: Final = 5.0  # seconds for the check of each minute; no request waits for it


class RowSecurityWatch:
    """Runs checks, and keeps the result of the last one."""

    def __init__(self) -> None:
        self.has_passed = False  # whether a check has ever passed; before that no statement may run
        self.due = False  # whether the last check is CHECK_EVERY old
        self._gaps: Sequence[str] = ()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def trouble(self) -> str | None:
        """The fault of row-level security, with the command that repairs it; None if there is none."""
        return "row-level security is not in place: " + "; ".join(self._gaps) if self._gaps else None

    async def check(self, connection: Connection) -> None:
        """Run a check, and log what has changed."""
        self._schedule_next()
        async with connection.transaction(readonly=True):
            found = [str(gap) for gap in await find_gaps(connection)]
        if found and found != self._gaps:
            log.error("wall down", gaps=found)
        elif self._gaps and not found:
            log.info("wall stands again")
        self._gaps = found
        self.has_passed = self.has_passed or not found

    def raise_if_broken(self) -> None:
        """Raise DatabaseNotSetUp if the last check failed."""
        if self.trouble is not None:
            raise DatabaseNotSetUp(self.trouble)

    def _schedule_next(self) -> None:
        """Make the next check due in a minute."""
        self.close()
        self._timer = asyncio.get_running_loop().call_later(CHECK_EVERY, self._become_due)

    def close(self) -> None:
        """Cancel the next check."""
        self.due = False
        if self._timer is not None:
            self._timer.cancel()

    def _become_due(self) -> None:
        self.due = True
