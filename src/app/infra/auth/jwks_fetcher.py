"""Fetching the document of keys: from the one configured address, within bounds."""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final

import httpx

from app.infra.auth.jwk import Key, read

TIMEOUT: Final = 1.5  # seconds for the whole of it, however slowly it drips; recovery is promised in 2
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
            limits=httpx.Limits(max_keepalive_connections=0),  # minutes pass before it would be used again
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def fetch(self) -> tuple[Key, ...]:
        """Return the keys.

        Raises:
            CannotFetch: no answer, not in time, too large, packed, or not 200.
            InvalidJwks: an answer that cannot be trusted.

        """
        try:
            async with asyncio.timeout(TIMEOUT), self._client.stream("GET", self._url) as response:
                document = await self._body(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # a TimeoutError is an OSError
            raise CannotFetch(f"{self._url} did not answer ({type(error).__name__})") from error
        return read(document)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _body(self, response: httpx.Response) -> bytes:
        if response.status_code != httpx.codes.OK:
            raise CannotFetch(f"{self._url} answered {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":  # 64 KB may unpack to 64 MB
            raise CannotFetch(f"{self._url} sends a compressed response, which was not requested")
        document = bytearray()
        async for chunk in response.aiter_raw():
            document += chunk
            if len(document) > SIZE_MAX:
                raise CannotFetch(f"{self._url} answered more than {SIZE_MAX} bytes")
        return bytes(document)


class Allowance:
    """A token bucket: a burst, then one per `PAUSE`, so that unknown keys cause no flood of fetches."""

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

    def take(self) -> bool:
        """Take one, if there is one."""
        if self.wait() > 0:
            return False
        self._left -= 1
        return True
