"""Sharing the event loop: long work stops now and then, so that other requests are answered meanwhile.

Whoever stops waits in one line with all other long work of the process. Each round of the event loop lets one
of them go on, so that many large requests hold back small ones no more than one does.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import Final
from weakref import WeakKeyDictionary

SLICE: Final = 0.002  # seconds of work until others get their turn


class _Line:
    """Long work that waits to go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()

    def join(self) -> "asyncio.Future[None]":
        self._waiting.append(turn := self._loop.create_future())
        if len(self._waiting) == 1:
            self._loop.call_soon(self._call_next)
        return turn

    def _call_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # whoever waited may be gone
                turn.set_result(None)
                break
        if self._waiting:
            self._loop.call_soon(self._call_next)


_LINES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Line]] = WeakKeyDictionary()


class Turns:
    """Counts how long one piece of work has had the event loop."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def give(self) -> None:
        """Let others run, if a slice of time is over."""
        if perf_counter() - self._began >= SLICE:
            await self.wait()

    async def wait(self) -> None:
        """Let others run."""
        loop = asyncio.get_running_loop()
        line = _LINES.get(loop)
        if line is None:
            line = _LINES[loop] = _Line(loop)
        await line.join()
        self._began = perf_counter()
