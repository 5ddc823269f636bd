"""Connections that are cut off when their time is up.

How each test was seen to fail: no connection cut off; the timer left where it is for an earlier moment; no
other moment looked for after the first; what was let go still watched.
"""

import asyncio
from typing import Any, cast

from app.infra.connecting import Connection
from app.infra.deadlines import Deadlines


class Cable:
    """Stands for a connection."""

    def __init__(self) -> None:
        self.cut_off = False

    def terminate(self) -> None:
        self.cut_off = True


def watched(deadlines: Deadlines, seconds: float) -> Any:
    cable = Cable()
    deadlines.watch(cast("Connection", cable), asyncio.get_running_loop().time() + seconds)
    return cable


async def test_each_is_cut_off_at_its_moment_and_whoever_waited_is_told() -> None:
    deadlines = Deadlines()
    late, early = watched(deadlines, 0.3), watched(deadlines, 0.1)

    seen = [(early.cut_off, late.cut_off)]
    for _ in range(2):
        await asyncio.sleep(0.2)
        seen.append((early.cut_off, late.cut_off))

    assert seen == [(False, False), (True, False), (True, True)]
    assert deadlines.let_go(early)
    assert deadlines.let_go(late)


async def test_what_was_let_go_in_time_is_left_alone() -> None:
    deadlines = Deadlines()
    quick, other = watched(deadlines, 0.05), watched(deadlines, 0.05)

    assert not deadlines.let_go(quick)
    await asyncio.sleep(0.15)

    assert not quick.cut_off
    assert other.cut_off


async def test_a_moment_that_has_passed_is_now() -> None:
    deadlines = Deadlines()
    cable = watched(deadlines, -1)

    await asyncio.sleep(0.01)

    assert cable.cut_off
