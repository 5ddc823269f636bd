"""Fetching the document of keys: from the one configured address, within bounds."""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final

import httpx

from app.infra.key_set import Key, read

TIMEOUT: Final = 2.0  # seconds for the whole of it, however slowly it drips
SIZE_MAX: Final = 64 * 1024  # bytes
BURST: Final = 3  # fetches at once
PAUSE: Final = 10.0  # seconds for one more


class CannotFetch(Exception):
    """The document did not come; the message says why."""


class Fetcher:
    """Gets the keys. Follows no redirect and no proxy: the address is the trust."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(),
            headers={"accept": "application/json"},
        )

    async def fetch(self) -> tuple[Key, ...]:
        """Return the keys.

        Raises:
            CannotFetch: no answer, not in time, too large, or not 200.
            BadKeySet: an answer that cannot be trusted.

        """
        try:
            async with asyncio.timeout(TIMEOUT), self._client.stream("GET", self._url) as response:
                if response.status_code != httpx.codes.OK:
                    raise CannotFetch(f"{self._url} answered {response.status_code}")
                document = bytearray()
                async for chunk in response.aiter_bytes():
                    document += chunk
                    if len(document) > SIZE_MAX:
                        raise CannotFetch(f"{self._url} answered more than {SIZE_MAX} bytes")
        except (httpx.HTTPError, TimeoutError) as error:
            raise CannotFetch(f"{self._url} did not answer ({type(error).__name__})") from error
        return read(bytes(document))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class Allowance:
    """A token bucket: a burst, then one each `PAUSE`. Whoever asks for unknown keys cannot make us flood."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(BURST)
        self._at = clock()

    def wait(self) -> float:
        """Return how many seconds it is until one may be taken."""
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._at) / PAUSE)
        self._at = now
        return 0.0 if self._left >= 1 else (1 - self._left) * PAUSE

    def take(self) -> None:
        """Take one, after `wait` said 0."""
        self._left -= 1
