"""Queue of requests that wait for a connection of the pool, limited in length and time.

The oldest request goes first, but a request with a delay counts as if it had joined so many seconds later: it
is overtaken only by requests that join within that time. People with many or slow statements have longer
delays (`used_time.py`), so they do not make the others wait.

If the queue is full, the youngest of the requests with the longest delay is refused. If the newcomer's delay
is at least as long, the newcomer is refused instead.
"""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable
from itertools import count
from typing import Final, NamedTuple, TypeAlias

from app.infra.postgres.connect import Connection

PATIENCE: Final = 2.0  # seconds that a request waits for a connection, unless `may_wait_longer`

Turn: TypeAlias = "asyncio.Future[Connection | None]"
"""A request waits for its result: a connection, or None, which means that it may open a new one."""


class Place(NamedTuple):
    """A place in the queue. Places compare by their time."""

    at: float  # the time of joining plus the delay: seconds on the loop's clock
    number: int  # how many requests joined before: different for each place
    delay: float  # seconds
    turn: Turn


class PoolExhausted(Exception):
    """There is no connection for a request: the queue is full, or none became free in time."""


class WaitQueue:
    """At most `length` waiting requests.

    `may_wait_longer`: whether requests wait beyond PATIENCE, until their own deadlines. They do while the
    pool opens connections, because Neon may be starting its compute.
    """

    def __init__(self, length: int, may_wait_longer: Callable[[], bool]) -> None:
        self._length = length
        self._may_wait_longer = may_wait_longer
        self.timers: dict[Turn, asyncio.TimerHandle] = {}  # of all who wait; public: `Pool.release` reads it
        self._places: dict[Turn, Place] = {}
        self._line: list[Place] = []  # in order
        self._numbers = count()

    def __len__(self) -> int:
        return len(self.timers)

    async def wait(
        self, delay: float, give_back: Callable[["Connection | None"], None]
    ) -> "Connection | None":
        """Join the queue and wait for the result; see `join`.

        `give_back` gets the result if the caller is cancelled at the moment when the result comes.
        """
        turn = self.join(delay)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                give_back(turn.result())
            raise
        finally:
            self.leave(turn)

    def join(self, delay: float = 0.0) -> Turn:
        """Return a turn to wait for. A caller that stops waiting calls `leave`.

        Raise PoolExhausted if the queue is full and no request in it has a longer delay. Waiting raises it
        after PATIENCE (unless `may_wait_longer`), or when a request with a shorter delay takes this place.
        """
        if len(self.timers) >= self._length:
            self._make_room(delay)
        loop = asyncio.get_running_loop()
        turn: Turn = loop.create_future()
        place = Place(loop.time() + delay, next(self._numbers), delay, turn)
        self._places[turn] = place
        insort(self._line, place)
        self._start_timer(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """Remove a request from the queue."""
        if (timer := self.timers.pop(turn, None)) is not None:
            timer.cancel()
            del self._line[bisect_left(self._line, self._places.pop(turn))]

    def serve(self, connection: "Connection | None") -> bool:
        """Give the first request a connection, or None: it may open one. Return False if no request waits."""
        while self._line:
            turn = self._line[0].turn
            self.leave(turn)
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _make_room(self, delay: float) -> None:
        last = max(self._line, key=lambda place: (place.delay, place.number), default=None)
        if last is None or delay >= last.delay:
            raise PoolExhausted("too many requests wait for a connection")
        self.leave(last.turn)
        if not last.turn.done():
            last.turn.set_exception(PoolExhausted("requests of people who use less took all places"))

    def _start_timer(self, turn: Turn) -> None:
        self.timers[turn] = asyncio.get_running_loop().call_later(PATIENCE, self._refuse_late, turn)

    def _refuse_late(self, turn: Turn) -> None:
        if self._may_wait_longer():
            self._start_timer(turn)  # it keeps its place
            return
        self.leave(turn)
        if not turn.done():
            turn.set_exception(PoolExhausted("no connection became free in time"))
