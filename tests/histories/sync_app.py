"""Runs the service for random histories: sequences of requests that a model predicts.

A history calls the service synchronously and sets its clock.
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from app.composition import compose
from app.infra.purge import purge_trash
from app.infra.resync import raise_revisions
from app.settings import Settings
from app.settings.database_address import DatabaseAddress
from tests.conftest import environment_for
from tests.support.factories import NOON
from tests.support.in_process import client_of

T = TypeVar("T")

TASKS_MAX = 6  # tasks a person may have: few, so that a list is full now and then


class SlowLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is 20 times slower, so a busy machine exceeds none of the service's time limits."""

    def time(self) -> float:
        return super().time() / 20


class SyncApp:
    """The application. Its event loop runs only while a history waits for it.

    With a loop in its own thread, a fifth of the time would be lost to switches between threads.
    """

    def __init__(self, database_url: str) -> None:
        self.now = NOON
        self._address = DatabaseAddress.parse(database_url)
        settings = Settings.from_env(
            environment_for(database_url, MAX_TASKS=str(TASKS_MAX), REQUEST_TIMEOUT="60")
        )
        self._loop = SlowLoop()
        self._context = client_of(compose(settings, clock=lambda: self.now))
        self.client: httpx.AsyncClient = self.wait_for(self._context.__aenter__())

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run the event loop until a coroutine ends, and return its result."""
        return self._loop.run_until_complete(asyncio.wait_for(coroutine, 5))

    def purge(self, *, older_than: timedelta) -> None:
        """Delete old trash permanently, as `app purge` does."""
        self.wait_for(purge_trash(self._address, before=self.now - older_than))

    def resync(self) -> None:
        """Make all tokens of changes invalid, as `app resync` does."""
        self.wait_for(raise_revisions(self._address))

    def close(self) -> None:
        self.wait_for(self._context.__aexit__(None, None, None))
        self._loop.close()
