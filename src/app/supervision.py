"""What the main process of `app serve` and its workers know of each other.

Told to stop, the main process first lets its workers know: `/health/ready` turns 503 and each answer ends
its connection, so that whoever sends requests here goes elsewhere before any is refused. A worker whose main
process was killed leaves by itself: nobody else would end it, and it would hold the port.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

MAIN_PROCESS: Final = "TASKWARD_MAIN_PROCESS"
"""The variable in which a worker finds the id of its main process; `app serve` sets it, and nobody else."""

LEAVE: Final = signal.SIGUSR1
LOOK: Final = 1.0  # seconds between looks at the main process
DRAIN: Final = 10  # seconds for the requests under way when told to stop


class Worker:
    """A process as a worker of `app serve`. Under another server nothing is watched."""

    def __init__(self) -> None:
        self.leaving = False

    async def trouble(self) -> str | None:
        """Return why no request should be sent here; None if any may."""
        return "told to stop" if self.leaving else None

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Listen to the main process, and watch that it lives."""
        main_process = os.environ.get(MAIN_PROCESS)
        if main_process is None:
            yield
            return
        asyncio.get_running_loop().add_signal_handler(LEAVE, self._leave)
        watching = asyncio.create_task(_leave_with(int(main_process)))
        try:
            yield
        finally:
            watching.cancel()

    def _leave(self) -> None:
        self.leaving = True


async def _leave_with(main_process: int) -> None:
    while os.getppid() == main_process:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(LOOK)
    signal.alarm(DRAIN)  # the end of what is still under way by then
    os.kill(os.getpid(), signal.SIGTERM)
