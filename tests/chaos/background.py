"""Runs the load and other background work in a separate thread during a scenario."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """An event loop in its own thread, so it runs while a scenario waits for its fault."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    @contextmanager
    def entered(self, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter an asynchronous context in the loop, and leave it after the block."""
        value = self.run(_awaited(context.__aenter__()))
        try:
            yield value
        finally:
            self.run(_awaited(context.__aexit__(None, None, None)))

    def close(self) -> None:
        """Stop the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable  # `run_coroutine_threadsafe` takes coroutines only


@contextmanager
def running_background() -> Iterator[Background]:
    """Start the loop, and stop it after the block."""
    background = Background()
    try:
        yield background
    finally:
        background.close()
