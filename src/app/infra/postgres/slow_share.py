"""The share of a process's connections that slow statements may take.

Searches and summaries have a time budget, because they may read all tasks of their person. Without a share,
ten people with one summary each would hold ten connections for seconds, and everybody's writes would wait.

Further slow statements wait without a connection, in a `WaitQueue`. A person's delay is the time that their
statements used lately, and PER_STATEMENT for each that runs or waits: people with quick statements go first.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.domain.errors import TooManySearches
from app.domain.identity import UserId
from app.infra.postgres.used_time import PER_STATEMENT, UsedTime
from app.infra.postgres.wait_queue import PoolExhausted, WaitQueue

WAITING_PER_RUNNING: Final = 20  # statements


class SlowShare:
    """At most `size` slow statements at once."""

    def __init__(self, size: int, used_time: UsedTime) -> None:
        self._free = size
        self._used_time = used_time
        # `may_wait_longer` is always true: slow statements end after their budget, so it is worth waiting
        # until the deadline.
        self._queue = WaitQueue(WAITING_PER_RUNNING * size, lambda: True)

    def __len__(self) -> int:
        """Return the number of waiting statements."""
        return len(self._queue)

    @asynccontextmanager
    async def turn(self, person: UserId, *, running: int, until: float) -> AsyncIterator[None]:
        """Wait until a slow statement may run, and run it in the block.

        `running`: how many other statements of the person run or wait. `until`: the deadline, on the loop's
        clock. Raises TooManySearches if no slow statement ended in time, or too many wait.
        """
        if self._free:
            self._free -= 1
        else:
            delay = running * PER_STATEMENT + self._used_time.seconds(person)
            try:
                async with asyncio.timeout_at(until):
                    await self._queue.wait(delay, self._leave)
            except (PoolExhausted, TimeoutError) as error:
                raise TooManySearches from error
        try:
            yield
        finally:
            self._leave()

    def _leave(self, _: object = None) -> None:
        if not self._queue.serve(None):
            self._free += 1
