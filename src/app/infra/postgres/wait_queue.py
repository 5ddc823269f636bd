"""Queue of requests that wait for a connection of the pool, limited in length and time.

A person's first statement goes before anybody's second, so people with many statements do not make the others
wait. Among equals, the oldest goes first.

If the queue is full and a waiting request has a higher rank than the newcomer, the youngest request of the
highest rank is refused. Otherwise the newcomer is refused.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias

from app.infra.postgres.connect import Connection

PATIENCE: Final = 2.0  # seconds that a request waits for a connection, unless `may_wait_longer`

Turn: TypeAlias = "asyncio.Future[Connection | None]"
"""A connection, or None: room to open one."""


class PoolExhausted(Exception):
    """There is no connection for a request: the queue is full, or none became free in time."""


class WaitQueue:
    """At most `length` waiting requests."""

    def __init__(self, length: int, may_wait_longer: Callable[[], bool]) -> None:
        """Make an empty queue.

        `may_wait_longer`: whether requests wait beyond `PATIENCE`, until their own deadlines. They do while
        the pool opens connections, because Neon may be starting its compute.
        """
        self._length = length
        self._may_wait_longer = may_wait_longer
        self.turns: dict[Turn, asyncio.TimerHandle] = {}
        self._ranks: dict[Turn, int] = {}
        # For each rank its turns, in the order of arrival. An empty line is removed, so that `min` and `max`
        # look at few keys.
        self._lines: dict[int, OrderedDict[Turn, None]] = {}

    def __len__(self) -> int:
        return len(self.turns)

    def join(self, rank: int = 1) -> Turn:
        """Return a turn to wait for. A caller that stops waiting calls `leave`.

        The rank is the number of the person's statements that run or wait for a connection, with this one.

        Raises:
            PoolExhausted: the queue is full of requests of this rank and lower ones. Waiting raises it
                too: after `PATIENCE` (unless `may_wait_longer`), or when a request of a lower rank takes this
                place.
        """
        if len(self.turns) >= self._length:
            self._make_room(rank)
        turn: Turn = asyncio.get_running_loop().create_future()
        self._ranks[turn] = rank
        self._lines.setdefault(rank, OrderedDict())[turn] = None
        self._start_timer(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """Remove a request from the queue."""
        if (timer := self.turns.pop(turn, None)) is not None:
            timer.cancel()
            rank = self._ranks.pop(turn)
            line = self._lines[rank]
            del line[turn]
            if not line:
                del self._lines[rank]

    def serve(self, connection: "Connection | None") -> bool:
        """Give the first request a connection, or None for room to open one. Return False if none waits."""
        while self._lines:
            turn = next(iter(self._lines[min(self._lines)]))  # the oldest one of the lowest rank
            self.leave(turn)
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _make_room(self, rank: int) -> None:
        highest = max(self._lines, default=rank)
        if rank >= highest:
            raise PoolExhausted("too many requests wait for a connection")
        youngest = next(reversed(self._lines[highest]))
        self.leave(youngest)
        if not youngest.done():
            youngest.set_exception(PoolExhausted("requests of people with fewer statements took all places"))

    def _start_timer(self, turn: Turn) -> None:
        self.turns[turn] = asyncio.get_running_loop().call_later(PATIENCE, self._refuse_late, turn)

    def _refuse_late(self, turn: Turn) -> None:
        if self._may_wait_longer():
            self._start_timer(turn)  # it keeps its place
            return
        self.leave(turn)
        if not turn.done():
            turn.set_exception(PoolExhausted("no connection became free in time"))
