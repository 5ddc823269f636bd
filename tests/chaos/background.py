"""Runs the load and other background work in a separate thread during a scenario."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """An event loop that never waits for a fault."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something there, and return what came of it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    @contextmanager
    def entered(self, there: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter a context there."""
        yield_, leave = there.__aenter__, there.__aexit__
        value = self.run(_awaited(yield_()))
        try:
            yield value
        finally:
            self.run(_awaited(leave(None, None, None)))

    def close(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self.loop.stop)


async def _awaited(thing: Any) -> Any:
    return await thing


@contextmanager
def a_background() -> Iterator[Background]:
    """Start such a thread, and end it."""
    background = Background()
    try:
        yield background
    finally:
        background.close()
