"""What a process knows of the walls while it serves: they stood before its first statement, and may fall.

It looks at them again where an error may come from a part that is missing, and each minute in which a
statement was run. It never looks by itself: a database that sleeps is left asleep.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from app.domain.errors import DatabaseNotSetUp
from app.infra.postgres.connect import Connection
from app.infra.postgres.row_security_check import gaps

log = structlog.get_logger()

LOOK_EVERY: Final = 60.0  # seconds
LOOK_TIMEOUT: Final = 5.0  # seconds for one look that nobody waits for


class RowSecurityWatch:
    """What the last look found."""

    def __init__(self) -> None:
        self.stood = False  # at some look; before that no statement may be run
        self.due = False  # the last look is a minute old
        self._gaps: Sequence[str] = ()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def trouble(self) -> str | None:
        """What is wrong, and what mends it; None where nothing was found."""
        return "the wall between owners does not stand: " + "; ".join(self._gaps) if self._gaps else None

    async def look(self, connection: Connection) -> None:
        """Look at the walls, and log what has changed."""
        self.put_off()
        async with connection.transaction(readonly=True):
            found = [str(gap) for gap in await gaps(connection)]
        if found and found != self._gaps:
            log.error("wall down", gaps=found)
        elif self._gaps and not found:
            log.info("wall stands again")
        self._gaps = found
        self.stood = self.stood or not found

    def refuse(self) -> None:
        """Raise DatabaseNotSetUp where the last look found something."""
        if self.trouble is not None:
            raise DatabaseNotSetUp(self.trouble)

    def put_off(self) -> None:
        """Let the next look be due in a minute."""
        self.close()
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY, self._become_due)

    def close(self) -> None:
        """Let no look be due any more."""
        self.due = False
        if self._timer is not None:
            self._timer.cancel()

    def _become_due(self) -> None:
        self.due = True
