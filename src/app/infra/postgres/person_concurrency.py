"""At most so many statements of one person at once; the next ones wait in that person's own queue.

So nobody holds every connection of the pool, whatever their statements cost.
"""

import asyncio
from collections import deque
from typing import Final

from app.domain.errors import TooManyAtOnce
from app.domain.identity import UserId

QUEUE: Final = 25  # statements that may wait, for each that may run
PATIENCE: Final = 2.0  # seconds that a statement waits in its person's queue


class PersonConcurrency:
    """Counts the running statements of each person. Who has none takes no memory."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._running: dict[UserId, int] = {}
        self._queues: dict[UserId, deque[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """Return how many people have statements that run or wait."""
        return len(self._running)

    def start(self, person: UserId) -> "asyncio.Future[None] | None":
        """Count a statement, to be finished; return None if it may run, or a turn to wait for.

        Raises:
            TooManyAtOnce: the person's queue is full.

        """
        running = self._running.get(person, 0)
        if running < self._at_most:
            self._running[person] = running + 1
            return None
        queue = self._queues.setdefault(person, deque())
        if len(queue) >= QUEUE * self._at_most:
            raise TooManyAtOnce
        queue.append(turn := asyncio.get_running_loop().create_future())
        return turn

    async def wait(self, person: UserId, turn: "asyncio.Future[None]", until: float) -> None:
        """Wait until a statement may run; if it raises, there is nothing to finish.

        Raises:
            TooManyAtOnce: none of the person's statements ended for too long.

        """
        try:
            async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + PATIENCE)):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # its turn came at the moment of giving up
                self.finish(person)
            else:
                self._leave(person, turn)
            if isinstance(error, TimeoutError):
                raise TooManyAtOnce from error
            raise

    def finish(self, person: UserId) -> None:
        """End a statement: the person's next one runs in its place."""
        while queue := self._queues.get(person):
            turn = queue.popleft()
            if not queue:
                del self._queues[person]
            if not turn.done():
                turn.set_result(None)
                return
        if (running := self._running[person]) > 1:
            self._running[person] = running - 1
        else:
            del self._running[person]

    def _leave(self, person: UserId, turn: "asyncio.Future[None]") -> None:
        if (queue := self._queues.get(person)) and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[person]
