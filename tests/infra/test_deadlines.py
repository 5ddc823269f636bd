"""Tasks that no longer wait when their time is up.

Faults put in on purpose, each found by a test: no task cancelled; the timer left where it is for an earlier
moment; no other moment looked for after the first; what was let go still watched.
"""

import asyncio
from typing import cast

from app.infra.postgres.connect import Connection
from app.infra.postgres.database import Deadlines


class Wait:
    """A task that waits for a connection's answer, which never comes."""

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self.connection = cast("Connection", object())
        self._task = asyncio.create_task(self._wait(deadlines, seconds))

    @property
    def ended(self) -> bool:
        return self._task.done()

    async def _wait(self, deadlines: Deadlines, seconds: float) -> None:
        deadlines.watch(self.connection, asyncio.get_running_loop().time() + seconds)
        await asyncio.Event().wait()


async def watched(deadlines: Deadlines, seconds: float) -> Wait:
    wait = Wait(deadlines, seconds)
    await asyncio.sleep(0)  # so that it begins
    return wait


async def test_each_watched_connection_is_ended_at_its_own_deadline() -> None:
    deadlines = Deadlines()
    late, early = await watched(deadlines, 0.3), await watched(deadlines, 0.1)

    seen = [(early.ended, late.ended)]
    for _ in range(2):
        await asyncio.sleep(0.2)
        seen.append((early.ended, late.ended))

    assert seen == [(False, False), (True, False), (True, True)]
    assert deadlines.unwatch(early.connection)
    assert deadlines.unwatch(late.connection)


async def test_a_connection_released_in_time_is_not_ended() -> None:
    deadlines = Deadlines()
    quick, other = await watched(deadlines, 0.05), await watched(deadlines, 0.05)

    assert not deadlines.unwatch(quick.connection)
    await asyncio.sleep(0.15)

    assert not quick.ended
    assert other.ended


async def test_a_deadline_in_the_past_ends_at_once() -> None:
    deadlines = Deadlines()
    late = await watched(deadlines, -1)

    await asyncio.sleep(0.01)

    assert late.ended
