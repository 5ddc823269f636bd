"""Sharing the event loop: long work stops now and then, so that other requests are answered meanwhile.

Whoever stops waits in one line with all other long work of the process. One at a time goes on for a slice,
and then the event loop is free for a while: a small request needs several rounds of it, and would else wait
for as many slices. So many large requests hold back small ones no more than one does.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import Final
from weakref import WeakKeyDictionary

SLICE: Final = 0.002  # seconds of work until others get their turn
REST: Final = 0.002  # seconds from the end of a slice to the next one, whoever's it is


class _Line:
    """Long work that waits to go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()

    def join(self) -> "asyncio.Future[None]":
        self._waiting.append(turn := self._loop.create_future())
        if len(self._waiting) == 1:
            self._rest()
        return turn

    def _rest(self) -> None:
        self._loop.call_later(REST, self._call_next)

    def _call_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # whoever waited may be gone
                turn.set_result(None)
                break
        if self._waiting:
            self._loop.call_soon(self._rest)  # after the slice, which comes first in the next round


_LINES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Line]] = WeakKeyDictionary()


class TimeSlice:
    """Counts how long one piece of work has had the event loop."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def yield_to_others(self) -> None:
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
