"""The public keys of the token issuer, cached in memory and fetched in the background.

For an unknown key the set is fetched at once, because Better Auth may sign with a new key before the next
refresh. Waiting requests share one fetch, and an allowance limits these fetches. If the issuer is
down, the last good keys stay valid for a day.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from app.domain.errors import KeysUnavailable, NotAuthenticated, TooManyRequests
from app.infra.auth.jwk import InvalidJwks, Key, find_key
from app.infra.auth.jwks_fetcher import Allowance, CannotFetch, Fetcher
from app.logs import describe_error

log = structlog.get_logger()

REFRESH: Final = 300.0  # seconds between background fetches, ±10 %
RETRY: Final = 1.0  # seconds between the starts of fetches while there are no keys
LIFETIME: Final = 86_400.0  # seconds that a key set stays valid while its issuer is unavailable


class Jwks:
    """The key set of one URL."""

    def __init__(
        self, url: str, *, clock: Callable[[], float] = time.monotonic, refresh: float = REFRESH
    ) -> None:
        self.fetches = self.failures = 0
        self.generation = 0  # grows when a key leaves the set, because tokens of that key are no longer valid
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
        """Whether there are keys to verify tokens with."""
        return bool(self._keys)

    @property
    def trouble(self) -> str | None:
        """Why no token can be verified; None if there are keys."""
        return None if self._keys else self._trouble or "not fetched yet"

    @property
    def age(self) -> float | None:
        """Seconds since the last good key set was fetched; None before the first."""
        return None if self._fetched == -math.inf else self._clock() - self._fetched

    @property
    def count(self) -> int:
        """The number of keys."""
        return len(self._keys)

    async def start(self) -> None:
        """Start to fetch in the background. Does not wait."""
        self._fetcher = Fetcher(self._url)
        self._refreshing = asyncio.create_task(self._refresh_for_ever(self._fetcher))

    async def close(self) -> None:
        """Stop fetching. The cached keys stay."""
        fetcher, self._fetcher = self._fetcher, None
        tasks = [task for task in (self._refreshing, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if fetcher is not None:
            await fetcher.close()

    def has(self, key_id: str | None) -> bool:
        """Return whether a key with this id is known."""
        return key_id is not None and any(key.key_id == key_id for key in self._keys)

    async def find(self, key_id: str | None, algorithm: str) -> Any:
        """Return the key that a token names, for PyJWT.

        Raises:
            NotAuthenticated: the set has no such key, or the key is for another algorithm.
            TooManyRequests: the issuer answers, but the set was fetched for unknown keys too often.
            KeysUnavailable: the set cannot be fetched now.
        """
        key = find_key(self._keys, key_id, algorithm)
        if key is None and self._fetching is not None:
            await self._wait_for(self._fetching)  # this fetch may have started before the key was made
            key = find_key(self._keys, key_id, algorithm)
        if key is None:
            await self._wait_for(self._fetching or self._start_fetch_within_allowance())
            key = find_key(self._keys, key_id, algorithm)
        if key is None:
            raise NotAuthenticated("no key of the issuer has this id and algorithm")
        return key.material

    def _start_fetch_within_allowance(self) -> asyncio.Task[str]:
        if self._fetcher is None:
            raise self._unavailable("the keys are not being fetched: not started, or closed")
        if not self._allowance.take():
            if self.ready and not self._trouble:
                raise TooManyRequests(math.ceil(self._allowance.seconds_until_next()))
            raise self._unavailable("too many requests for unknown keys")
        return self._start_fetch(self._fetcher)

    def _start_fetch(self, fetcher: Fetcher) -> asyncio.Task[str]:
        self._fetching = self._fetching or asyncio.create_task(self._fetch(fetcher))
        return self._fetching

    async def _wait_for(self, fetch: asyncio.Task[str]) -> None:
        """Wait for a fetch. Cancelling the wait does not cancel the fetch, for which others may wait."""
        await asyncio.wait([fetch])
        if trouble := "closed" if fetch.cancelled() else fetch.result():
            raise self._unavailable(f"the keys cannot be fetched: {trouble}")

    def _unavailable(self, reason: str) -> KeysUnavailable:
        # Without keys, the refresh fetches the set every RETRY seconds.
        seconds = self._allowance.seconds_until_next() if self.ready else RETRY
        return KeysUnavailable(reason, retry_after=max(1, math.ceil(seconds)))

    async def _fetch(self, fetcher: Fetcher) -> str:
        """Fetch the keys and store them. Return the reason if that failed, else an empty text."""
        trouble = ""
        self.fetches += 1
        try:
            self._replace_keys(await fetcher.fetch())
        except (CannotFetch, InvalidJwks) as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001 - a bug here must not end refreshing
            log.error("unexpected error", error=describe_error(error))  # noqa: TRY400 - its text may quote what was fetched
            trouble = "an unexpected error, see the log"
        finally:
            self._fetching = None  # before the waiting requests continue
        if trouble:
            self.failures += 1
        if trouble and self._clock() - self._fetched >= LIFETIME:
            self._replace_keys(())
        if trouble != self._trouble:
            write = log.warning if trouble else log.info
            event = "keys not fetched" if trouble else "keys fetched again"
            write(event, reason=trouble, kept=len(self._keys))
        self._trouble = trouble
        return trouble

    def _replace_keys(self, keys: tuple[Key, ...]) -> None:
        if {key.text for key in self._keys} - {key.text for key in keys}:
            self.generation += 1
        self._keys = keys
        if keys:
            self._fetched = self._clock()

    async def _refresh_for_ever(self, fetcher: Fetcher) -> None:
        while True:
            began = time.monotonic()
            await asyncio.wait([self._start_fetch(fetcher)])
            pause = self._refresh * random.uniform(0.9, 1.1) if self.ready else RETRY  # noqa: S311 - no secret
            await asyncio.sleep(pause - (time.monotonic() - began))
