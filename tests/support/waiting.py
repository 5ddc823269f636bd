"""Checks a condition again and again until it is true, where no event announces it."""

import asyncio
import time
from collections.abc import Callable

PATIENCE = 20.0  # seconds, since the machine may be busy
PAUSE = 0.02  # seconds between two checks


def wait_until(is_true: Callable[[], object], *, seconds: float = PATIENCE, pause: float = PAUSE) -> float:
    """Wait until the condition is true, and return how long that took, in seconds.

    Raises:
        TimeoutError: the condition was not true within `seconds`.

    """
    start = time.monotonic()
    while not is_true():
        if time.monotonic() - start > seconds:
            raise TimeoutError(f"the condition was not true within {seconds:g} s")
        time.sleep(pause)
    return time.monotonic() - start


async def wait_until_async(
    is_true: Callable[[], object], *, seconds: float = PATIENCE, pause: float = PAUSE
) -> None:
    """Wait until the condition is true, and let the event loop run meanwhile.

    Raises:
        TimeoutError: the condition was not true within `seconds`.

    """
    async with asyncio.timeout(seconds):
        while not is_true():  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(pause)
