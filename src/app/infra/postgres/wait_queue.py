"""Queue for pooled connections, limited in length and time.

A person's first statement goes before anybody's second, so people with many statements do not make the others
wait. Among equals, the oldest goes first.

A request that would exceed the length is refused at once.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from app.infra.postgres.connect import Connection

PATIENCE: Final = 2.0  # seconds that a request waits for a connection

Turn: TypeAlias = "asyncio.Future[Connection | None]"
"""A connection, or None: room to open one."""


class PoolExhausted(Exception):
    """All connections are checked out, and none became free in time."""


class WaitQueue:
    """At most `length` waiting requests."""

    def __init__(self, length: int, is_moving: Callable[[], bool]) -> None:
        self._length = length
        # Connections are being opened: wait longer, since Neon may be starting its compute.
        self._is_moving = is_moving
        self.turns: dict[Turn, asyncio.TimerHandle] = {}  # in the order of arrival
        self._ranks: dict[Turn, int] = {}

    def __len__(self) -> int:
        return len(self.turns)

    def join(self, rank: int = 1) -> Turn:
        """Return a turn to wait for. A caller that stops waiting calls `leave`.

        The rank is the number of the person's statements that run or wait for a connection, with this one.

        Raises:
            PoolExhausted: the queue is full. Waiting raises it too, after `PATIENCE`.
        """
        if len(self.turns) >= self._length:
            raise PoolExhausted("too many requests wait for a connection")
        turn: Turn = asyncio.get_running_loop().create_future()
        self._ranks[turn] = rank
        self._be_patient(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """Remove a request from the queue."""
        if (timer := self.turns.pop(turn, None)) is not None:
            timer.cancel()
            del self._ranks[turn]

    def serve(self, connection: "Connection | None") -> bool:
        """Give the first request a connection, or None for room to open one. Return False if none waits."""
        while self.turns:
            turn = min(self.turns, key=self._ranks.__getitem__)  # the oldest one of the lowest rank
            self.leave(turn)
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _be_patient(self, turn: Turn) -> None:
        self.turns[turn] = asyncio.get_running_loop().call_later(PATIENCE, self._turn_away, turn)

    def _turn_away(self, turn: Turn) -> None:
        if self._is_moving():
            self._be_patient(turn)  # it keeps its place
            return
        self.leave(turn)
        if not turn.done():
            turn.set_exception(PoolExhausted("no connection became free in time"))
