"""Fair sharing of the event loop: long work pauses, so that other requests are answered meanwhile.

All long work of a process waits in one queue. One task at a time runs for a slice, and then the event loop
is free for a while. A small request needs several rounds of the loop and would otherwise wait for one slice
per round. So many large requests delay small ones no more than one large request does.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import Final
from weakref import WeakKeyDictionary

SLICE: Final = 0.002  # seconds of work before other work gets its turn
REST: Final = 0.002  # seconds between two slices, of the same task or another


class _Line:
    """The queue of long work that waits for its next slice."""

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
            if not turn.done():  # the waiting task may be cancelled
                turn.set_result(None)
                break
        if self._waiting:
            self._loop.call_soon(self._rest)  # runs after the slice, which comes first in the next round


_LINES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Line]] = WeakKeyDictionary()


class TimeSlice:
    """Measures how long one piece of work has held the event loop."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def yield_to_others(self) -> None:
        """Let other work run if the slice is over."""
        if perf_counter() - self._began >= SLICE:
            await self.wait()

    async def wait(self) -> None:
        """Let other work run; return at the start of the next slice."""
        loop = asyncio.get_running_loop()
        line = _LINES.get(loop)
        if line is None:
            line = _LINES[loop] = _Line(loop)
        await line.join()
        self._began = perf_counter()
