"""The issuer's public keys: at hand for every request, fetched beside it.

A known key never waits for the network. An unknown one is looked for at once, because Better Auth signs
with a new key before it could be seen in the set; all who wait share one fetch, and an allowance bounds
how many there are. An issuer that is down does not sign anybody out: the last good keys go on.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from app.domain.errors import KeysUnavailable, NotAuthenticated
from app.infra.key_fetching import Allowance, CannotFetch, Fetcher
from app.infra.key_set import BadKeySet, Key

log = structlog.get_logger()

REFRESH: Final = 300.0  # seconds between fetches in the background, more or less a tenth
RETRY: Final = 1.0  # seconds between them while there are no keys at all
LIFETIME: Final = 86_400.0  # seconds that a set lives on without its issuer


class KeySet:
    """The keys of one address."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.generation = 0  # grows when a key leaves, and with it every token that it signed
        self._url = url
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._fetched = -math.inf
        self._allowance = Allowance(clock)
        self._fetcher: Fetcher | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def ready(self) -> bool:
        """Whether there are keys to judge a token with."""
        return bool(self._keys) and self._clock() - self._fetched < LIFETIME

    async def start(self) -> None:
        """Begin to fetch in the background. Waits for nothing."""
        self._fetcher = Fetcher(self._url)
        self._refreshing = asyncio.create_task(self._refresh_for_ever())

    async def close(self) -> None:
        """Stop fetching."""
        for task in (self._refreshing, self._fetching):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if self._fetcher is not None:
            await self._fetcher.close()

    async def find(self, key_id: str | None, algorithm: str) -> Any:
        """Return the key that a token names, for PyJWT.

        Raises:
            NotAuthenticated: the set has no such key, or it is not made for this algorithm.
            KeysUnavailable: whether it has cannot be known just now.

        """
        key = self._known(key_id, algorithm)
        if key is None and self._fetching is not None:
            await self._shared_fetch()  # one that began before the key was made does not settle it
            key = self._known(key_id, algorithm)
        if key is None:
            if (seconds := self._allowance.wait()) > 0 and self._fetching is None:
                raise KeysUnavailable("too many unknown keys were asked for", retry_after=math.ceil(seconds))
            if self._fetching is None:
                self._allowance.take()
            await self._shared_fetch()
            key = self._known(key_id, algorithm)
        if key is None:
            raise NotAuthenticated("no key of the issuer has this id and algorithm")
        return key.material

    def _known(self, key_id: str | None, algorithm: str) -> Key | None:
        if not self.ready:
            return None
        if key_id is not None:
            named = next((key for key in self._keys if key.key_id == key_id), None)
            if named is not None and algorithm not in named.algorithms:
                raise NotAuthenticated("the key is made for another algorithm")
            return named
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if len(fitting) > 1:
            raise NotAuthenticated("the token names no key, and several would fit")
        return fitting[0] if fitting else None

    async def _shared_fetch(self) -> None:
        """Wait for the fetch under way, or begin one. Whoever gives up waiting does not end it."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched_once)
        await asyncio.shield(self._fetching)

    def _fetched_once(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # whoever waited was told; where nobody did, the log was

    async def _fetch(self) -> None:
        if self._fetcher is None:
            raise KeysUnavailable("the key set is not started")
        try:
            keys = await self._fetcher.fetch()
        except (CannotFetch, BadKeySet) as error:
            if not self._failing:
                log.warning("keys not fetched", reason=str(error), kept=len(self._keys))
            self._failing = True
            raise KeysUnavailable(f"the keys cannot be fetched: {error}") from error
        if self._failing:
            log.info("keys fetched again")
        self._failing = False
        if {key.written for key in self._keys} - {key.written for key in keys}:
            self.generation += 1
        self._keys, self._fetched = keys, self._clock()

    async def _refresh_for_ever(self) -> None:
        while True:
            with suppress(KeysUnavailable):
                await self._shared_fetch()
            pause = REFRESH * random.uniform(0.9, 1.1) if self._keys else RETRY  # noqa: S311 - no secret
            await asyncio.sleep(pause)
