"""Signals between the main process of `app serve` and its workers.

On a stop signal, `/health/ready` answers 503 and each response closes its connection. So load balancers go
elsewhere before any request is refused. If the main process was killed, its workers stop by themselves:
otherwise they would hold the port.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

MAIN_PROCESS: Final = "TASKWARD_MAIN_PROCESS"
"""The environment variable with the process id of the main process. Only `app serve` sets it."""

LEAVE: Final = signal.SIGUSR1  # from the main process: the worker will be stopped soon
STARTED: Final = signal.SIGUSR2  # from a worker to its main process
CHECK_INTERVAL: Final = 1.0  # seconds between two checks of the main process
DRAIN: Final = 10  # seconds for requests in flight after a stop signal


class Worker:
    """The state of a worker of `app serve`. Under another server nothing is watched."""

    def __init__(self, on_leaving: Callable[[], None] = lambda: None) -> None:
        self.is_leaving = False
        self._on_leaving = on_leaving

    async def trouble(self) -> str | None:
        """Return why this worker should get no more requests; None if it should."""
        return "stopping" if self.is_leaving else None

    @asynccontextmanager
    async def watch_main_process(self) -> AsyncIterator[None]:
        """Handle the signals of the main process, and stop if that process dies."""
        main_process = os.environ.get(MAIN_PROCESS)
        if main_process is None:
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(LEAVE, self._leave)
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        # The main process blocks its signals. A forked worker has unblocked them, a spawned one has not.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if os.getppid() == int(main_process):
            os.kill(int(main_process), STARTED)
        watching = asyncio.create_task(self._leave_after(int(main_process)))
        try:
            yield
        finally:
            watching.cancel()

    def _leave(self) -> None:
        self.is_leaving = True
        self._on_leaving()

    def _stop(self) -> None:
        """Leave, then let granian stop: event streams must end before it waits for every connection.

        This method replaced granian's handler of SIGTERM. Granian's handler of SIGINT does the same.
        """
        self._leave()
        signal.raise_signal(signal.SIGINT)

    async def _leave_after(self, main_process: int) -> None:
        while os.getppid() == main_process:  # noqa: ASYNC110 - asyncio has no event for it
            await asyncio.sleep(CHECK_INTERVAL)
        signal.alarm(DRAIN)  # ends requests that are still in flight by then
        os.kill(os.getpid(), signal.SIGTERM)
