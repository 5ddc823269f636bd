"""The issuer's public keys: at hand for every request, fetched beside it.

A known key never waits for the network. An unknown one is looked for at once, because Better Auth signs
with a new key before it could be seen in the set; all who wait share one fetch, and an allowance bounds
how many there are. An issuer that is down does not sign anybody out: the last good keys go on for a day.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from app.domain.errors import KeysUnavailable, NotAuthenticated
from app.infra.auth.jwk import InvalidJwks, Key, chosen
from app.infra.auth.jwks_fetcher import Allowance, CannotFetch, Fetcher
from app.logs import where

log = structlog.get_logger()

REFRESH: Final = 300.0  # seconds between fetches in the background, more or less a tenth
RETRY: Final = 1.0  # seconds from the beginning of one to the next while there are no keys at all
LIFETIME: Final = 86_400.0  # seconds that a set lives on without its issuer


class Jwks:
    """The keys of one address."""

    def __init__(
        self, url: str, *, clock: Callable[[], float] = time.monotonic, refresh: float = REFRESH
    ) -> None:
        self.fetches = self.failures = 0
        self.generation = 0  # grows when a key leaves: whatever it signed is no longer believed
        self._url = url
        self._clock = clock
        self._refresh = refresh
        self._keys: tuple[Key, ...] = ()
        self._fetched = -math.inf
        self._allowance = Allowance(clock)
        self._trouble = ""
        self._fetcher: Fetcher | None = None
        self._fetching: asyncio.Task[str] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether there are keys to judge a token with."""
        return bool(self._keys)

    @property
    def trouble(self) -> str | None:
        """Why no token can be judged; None if one can."""
        return None if self._keys else self._trouble or "not fetched yet"

    @property
    def age(self) -> float | None:
        """How many seconds ago the last good set came; None: never one did."""
        return None if self._fetched == -math.inf else self._clock() - self._fetched

    @property
    def count(self) -> int:
        """How many keys are at hand."""
        return len(self._keys)

    async def start(self) -> None:
        """Begin to fetch in the background. Waits for nothing."""
        self._fetcher = Fetcher(self._url)
        self._refreshing = asyncio.create_task(self._refresh_for_ever(self._fetcher))

    async def close(self) -> None:
        """Stop fetching. The keys that are there go on."""
        fetcher, self._fetcher = self._fetcher, None
        tasks = [task for task in (self._refreshing, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if fetcher is not None:
            await fetcher.close()

    def has(self, key_id: str | None) -> bool:
        """Tell whether a key of this name is known."""
        return key_id is not None and any(key.key_id == key_id for key in self._keys)

    async def find(self, key_id: str | None, algorithm: str) -> Any:
        """Return the key that a token names, for PyJWT.

        Raises:
            NotAuthenticated: the set has no such key, or it is not made for this algorithm.
            KeysUnavailable: whether it has cannot be known just now.

        """
        key = chosen(self._keys, key_id, algorithm)
        if key is None and self._fetching is not None:
            await self._wait_for(self._fetching)  # it may have begun before the key was made
            key = chosen(self._keys, key_id, algorithm)
        if key is None:
            await self._wait_for(self._fetching or self._begun_within_allowance())
            key = chosen(self._keys, key_id, algorithm)
        if key is None:
            raise NotAuthenticated("no key of the issuer has this id and algorithm")
        return key.material

    def _begun_within_allowance(self) -> asyncio.Task[str]:
        if self._fetcher is None:
            raise self._unavailable("the keys are not being fetched: not started, or closed")
        if not self._allowance.take():
            raise self._unavailable("too many requests for unknown keys")
        return self._begun(self._fetcher)

    def _begun(self, fetcher: Fetcher) -> asyncio.Task[str]:
        self._fetching = self._fetching or asyncio.create_task(self._fetch(fetcher))
        return self._fetching

    async def _wait_for(self, fetch: asyncio.Task[str]) -> None:
        """Wait for a fetch. A cancelled wait does not cancel it for the others."""
        await asyncio.wait([fetch])
        if trouble := "closed" if fetch.cancelled() else fetch.result():
            raise self._unavailable(f"the keys cannot be fetched: {trouble}")

    def _unavailable(self, reason: str) -> KeysUnavailable:
        seconds = (
            self._allowance.wait() if self.ready else RETRY
        )  # without keys they are fetched every second
        return KeysUnavailable(reason, retry_after=max(1, math.ceil(seconds)))

    async def _fetch(self, fetcher: Fetcher) -> str:
        """Fetch the keys and take them over; return what the trouble is, if any."""
        trouble = ""
        self.fetches += 1
        try:
            self._take_over(await fetcher.fetch())
        except (CannotFetch, InvalidJwks) as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001 - a bug here must not end the refreshing for good
            log.error("unexpected error", error=where(error))  # noqa: TRY400 - its text may quote what was fetched
            trouble = "a bug, which the log tells"
        finally:
            self._fetching = None  # before anyone who waits goes on
        self.failures += bool(trouble)
        if trouble and self._clock() - self._fetched >= LIFETIME:
            self._take_over(())
        if trouble != self._trouble:
            tell = log.warning if trouble else log.info
            tell(
                "keys not fetched" if trouble else "keys fetched again", reason=trouble, kept=len(self._keys)
            )
        self._trouble = trouble
        return trouble

    def _take_over(self, keys: tuple[Key, ...]) -> None:
        if {key.written for key in self._keys} - {key.written for key in keys}:
            self.generation += 1
        self._keys = keys
        if keys:
            self._fetched = self._clock()

    async def _refresh_for_ever(self, fetcher: Fetcher) -> None:
        while True:
            began = time.monotonic()
            await asyncio.wait([self._begun(fetcher)])
            pause = self._refresh * random.uniform(0.9, 1.1) if self.ready else RETRY  # noqa: S311 - no secret
            await asyncio.sleep(pause - (time.monotonic() - began))
