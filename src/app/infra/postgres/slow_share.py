"""The share of a process's connections that slow statements may take.

Searches and summaries have a time budget, because they may read all tasks of their person. Without a share,
ten people with one summary each would hold ten connections for seconds, and everybody's writes would wait.

Further slow statements wait without a connection. The rank decides, as in `WaitQueue`, and seconds that a
person took of the share count like statements. So people whose statements always take long do not keep the
share from people whose statements take milliseconds.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.domain.errors import TooManySearches
from app.domain.identity import UserId
from app.infra.postgres.wait_queue import PoolExhausted, WaitQueue

QUEUE: Final = 20  # waiting statements allowed per statement that may run
HALF_LIFE: Final = 30.0  # seconds after which half of what a person took is forgotten
LEAST: Final = 0.1  # seconds; less than that is not remembered
PEOPLE_MAX: Final = 10_000  # people whose seconds are remembered


class SlowShare:
    """At most `size` slow statements at once."""

    def __init__(self, size: int) -> None:
        self._free = size
        # A statement in the share ends after its budget, so no waiter gives up before its deadline.
        self._queue = WaitQueue(QUEUE * size, lambda: True)
        # Seconds, and when they were right, on the loop's clock. The latest change is the last entry.
        self._taken: OrderedDict[UserId, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of waiting statements."""
        return len(self._queue)

    @asynccontextmanager
    async def turn(self, person: UserId, *, rank: int, until: float) -> AsyncIterator[None]:
        """Wait until a slow statement may run, and run it in the block.

        The lowest rank goes first (`WaitQueue.join`). `until`: the deadline, on the loop's clock.

        Raises:
            TooManySearches: no slow statement ended in time, or too many wait.
        """
        clock = asyncio.get_running_loop().time
        try:
            await self._enter(rank + int(self._seconds(person, clock())), until)
        except PoolExhausted as error:
            raise TooManySearches from error
        began = clock()
        try:
            yield
        finally:
            self._remember(person, began, clock())
            self._leave()

    async def _enter(self, rank: int, until: float) -> None:
        if self._free:
            self._free -= 1
            return
        turn = self._queue.join(rank)
        try:
            async with asyncio.timeout_at(until):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:  # granted at this moment
                self._leave()
            if isinstance(error, TimeoutError):
                raise PoolExhausted("no slow statement ended in time") from error
            raise
        finally:
            self._queue.leave(turn)

    def _leave(self) -> None:
        if not self._queue.serve(None):
            self._free += 1

    def _seconds(self, person: UserId, now: float) -> float:
        """Return what a person took of the share: seconds. Half of them are forgotten after `HALF_LIFE`."""
        seconds, at = self._taken.get(person, (0.0, now))
        return float(seconds * 0.5 ** ((now - at) / HALF_LIFE))

    def _remember(self, person: UserId, began: float, now: float) -> None:
        seconds = self._seconds(person, now) + now - began
        self._taken.pop(person, None)
        if seconds >= LEAST:
            self._taken[person] = seconds, now
            if len(self._taken) > PEOPLE_MAX:
                self._taken.popitem(last=False)
