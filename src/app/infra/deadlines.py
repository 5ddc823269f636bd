"""When a statement's time is up, its connection is cut off.

One timer for all that are under way: one for each, as `asyncio.timeout_at` has, costs more than anything
else that is done around a statement (docs/decisions/0005-the-hot-path.md).
"""

import asyncio

from app.infra.connecting import Connection


class Deadlines:
    """Until when each connection may be waited for."""

    def __init__(self) -> None:
        self._until: dict[Connection, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0  # when the timer will look

    def watch(self, connection: Connection, until: float) -> None:
        """Cut a connection off at this moment of the loop's clock, unless it is let go before."""
        self._until[connection] = until
        if self._timer is None or until < self._next:
            self._look_at(until)

    def let_go(self, connection: Connection) -> bool:
        """Watch a connection no longer; tell whether it was cut off."""
        return self._until.pop(connection, None) is None

    def _look_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = moment
        self._timer = asyncio.get_running_loop().call_at(moment, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection in [late for late, until in self._until.items() if until <= now]:
            del self._until[connection]
            connection.terminate()  # whoever waits for it is told at once
        if self._until:
            self._look_at(min(self._until.values()))
