"""`Deadlines` cancels a task that waits for a response of the database, when the task's deadline comes.

Each of these faults, put into the code on purpose, made a test fail: no task cancelled; the timer not moved for an
earlier deadline; no new timer after the first deadline; a connection watched after `unwatch`.
"""

import asyncio
from typing import cast

from app.infra.postgres.connect import Connection
from app.infra.postgres.database import Deadlines


class Wait:
    """A task that waits for a response on a connection. The response never comes."""

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self.connection = cast("Connection", object())
        self._task = asyncio.create_task(self._wait(deadlines, seconds))

    @property
    def ended(self) -> bool:
        return self._task.done()

    async def _wait(self, deadlines: Deadlines, seconds: float) -> None:
        deadlines.watch(self.connection, asyncio.get_running_loop().time() + seconds)
        await asyncio.Event().wait()


async def start_wait(deadlines: Deadlines, seconds: float) -> Wait:
    wait = Wait(deadlines, seconds)
    await asyncio.sleep(0)  # the task starts
    return wait


async def test_each_task_is_cancelled_at_its_own_deadline() -> None:
    deadlines = Deadlines()
    late, early = await start_wait(deadlines, 0.3), await start_wait(deadlines, 0.1)

    seen = [(early.ended, late.ended)]
    for _ in range(2):
        await asyncio.sleep(0.2)
        seen.append((early.ended, late.ended))

    assert seen == [(False, False), (True, False), (True, True)]
    assert deadlines.unwatch(early.connection)  # it returns whether the deadline has passed
    assert deadlines.unwatch(late.connection)


async def test_a_task_whose_connection_is_unwatched_in_time_is_not_cancelled() -> None:
    deadlines = Deadlines()
    quick, other = await start_wait(deadlines, 0.05), await start_wait(deadlines, 0.05)

    assert not deadlines.unwatch(quick.connection)
    await asyncio.sleep(0.15)

    assert not quick.ended
    assert other.ended


async def test_a_task_with_a_deadline_in_the_past_is_cancelled_at_once() -> None:
    deadlines = Deadlines()
    late = await start_wait(deadlines, -1)

    await asyncio.sleep(0.01)

    assert late.ended
