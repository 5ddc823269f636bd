"""Fair sharing of the event loop: long work pauses, so that other requests are answered meanwhile.

All long work of a process waits in one queue. One task at a time runs for a slice, and then the event loop is
free for a while. A small request needs several rounds of the loop. Because of the queue, many large requests
delay it no more than one does.

While small requests are in progress, the loop is free three times as long as the slice took: some work cannot
be divided, so its slice is long.
"""

import asyncio
from collections import deque
from time import perf_counter
from typing import Final
from weakref import WeakKeyDictionary

SLICE: Final = 0.002  # seconds of work before other work gets its turn
PAUSE: Final = 0.002  # seconds between two slices, of the same task or another
PAUSE_PER_WORK: Final = 3  # seconds of pause for each second of work, while small requests are in progress


class SmallRequests:
    """Counts the requests in progress of this process, without those with a large body and event streams."""

    count = 0


SMALL_REQUESTS: Final = SmallRequests()


class _Queue:
    """The queue of long work that waits for its next slice."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_active = False  # a slice runs, or the next one is scheduled
        self._began = 0.0
        self._pauses_until = 0.0

    def join(self) -> "asyncio.Future[None]":
        self._waiting.append(turn := self._loop.create_future())
        if not self._is_active:
            self._is_active = True
            self._call_next_later()
        return turn

    def _call_next_later(self) -> None:
        self._loop.call_later(PAUSE, self._call_next)

    def _call_next(self) -> None:
        if SMALL_REQUESTS.count and perf_counter() < self._pauses_until:
            self._call_next_later()
            return
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # the waiting task may have been cancelled
                turn.set_result(None)
                self._began = perf_counter()
                # The slice is the first call of the next round, and `_end_slice` the second.
                self._loop.call_soon(self._end_slice)
                return
        self._is_active = False

    def _end_slice(self) -> None:
        now = perf_counter()
        self._pauses_until = now + PAUSE_PER_WORK * (now - self._began)
        if self._waiting:
            self._call_next_later()
        else:
            self._is_active = False


_QUEUES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue]] = WeakKeyDictionary()


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
        queue = _QUEUES.get(loop)
        if queue is None:
            queue = _QUEUES[loop] = _Queue(loop)
        await queue.join()
        self._began = perf_counter()
