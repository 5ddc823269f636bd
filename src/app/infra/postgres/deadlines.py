"""When a statement's time is up, who waits for it waits no longer, and the driver cancels it.

One timer for all that are under way: one for each, as `asyncio.timeout_at` has, costs more than anything
else that is done around a statement (docs/decisions/0005-the-hot-path.md).
"""

import asyncio

from app.infra.postgres.connect import Connection, means_undone


class Deadlines:
    """Until when each connection may be waited for, and which task waits."""

    def __init__(self) -> None:
        self._until: dict[Connection, tuple[float, asyncio.Task[object] | None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0  # when the timer will look

    def watch(self, connection: Connection, until: float) -> None:
        """End the running task's wait at this moment of the loop's clock, unless it is let go before."""
        self._until[connection] = until, asyncio.current_task()
        if self._timer is None or until < self._next:
            self._look_at(until)

    def let_go(self, connection: Connection) -> bool:
        """Watch a connection no longer; tell whether its time was up."""
        return self._until.pop(connection, None) is None

    def _look_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = moment
        self._timer = asyncio.get_running_loop().call_at(moment, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection, (until, task) in [*self._until.items()]:
            if until <= now:
                del self._until[connection]
                if task is not None:
                    task.cancel()  # asyncpg sends a CancelRequest for what a cancelled task waited for
        if self._until:
            self._look_at(min(until for until, _ in self._until.values()))


def outcome(caught: BaseException) -> BaseException:
    """Return what an error means that came up when the time of the running task was up."""
    task = asyncio.current_task()
    if task is not None and task.uncancel() > 0 and not isinstance(caught, Exception):
        return caught  # somebody else has cancelled the task as well
    return caught if means_undone(caught) else TimeoutError()
