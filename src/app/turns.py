"""Sharing the event loop: long work stops now and then, so that other requests are answered meanwhile."""

import asyncio
from time import perf_counter
from typing import Final

SLICE: Final = 0.005  # seconds of work until others get their turn


class Turns:
    """Counts how long one piece of work has had the event loop."""

    def __init__(self) -> None:
        self._began = perf_counter()

    async def give(self) -> None:
        """Let others run, if a slice of time is over."""
        if perf_counter() - self._began >= SLICE:
            await asyncio.sleep(0)
            self._began = perf_counter()
