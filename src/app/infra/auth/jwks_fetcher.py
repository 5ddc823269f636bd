"""Fetches the key set from its configured URL, within limits of time, size and number."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

import httpx

from app.infra.auth.jwk import Key, read_key_set

TIMEOUT: Final = (
    1.5  # seconds for the whole fetch, so that a process without keys has them 2 s after an outage
)
SIZE_MAX: Final = 64 * 1024  # bytes
BURST: Final = 3  # fetches in a burst
PAUSE: Final = 10.0  # seconds until another fetch is allowed


class CannotFetch(Exception):
    """The key set could not be fetched; the message says why."""


class Fetcher:
    """Fetches the keys. It follows no redirect and uses no proxy, because only the URL is trusted."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(),
            limits=httpx.Limits(max_keepalive_connections=0),  # a kept connection would be idle for minutes
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def fetch(self) -> tuple[Key, ...]:
        """Return the keys.

        Raises:
            CannotFetch: no response in time, or one that is too large, compressed, or not 200.
            InvalidJwks: the document is not a usable key set.
        """
        try:
            async with asyncio.timeout(TIMEOUT), self._client.stream("GET", self._url) as response:
                document = await self._read_body(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # a TimeoutError is an OSError
            raise CannotFetch(f"{self._url} did not answer ({type(error).__name__})") from error
        return read_key_set(document)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _read_body(self, response: httpx.Response) -> bytes:
        if response.status_code != httpx.codes.OK:
            raise CannotFetch(f"{self._url} answered {response.status_code}")
        # 64 KB could decompress to 64 MB.
        if response.headers.get("content-encoding", "identity") != "identity":
            raise CannotFetch(f"{self._url} sends a compressed response, which was not requested")
        document = bytearray()
        async for chunk in response.aiter_raw():
            document += chunk
            if len(document) > SIZE_MAX:
                raise CannotFetch(f"{self._url} answered more than {SIZE_MAX} bytes")
        return bytes(document)


class Allowance:
    """A token bucket of fetches: a burst, then one per `PAUSE`. So unknown keys cause no flood of fetches."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = float(BURST)
        self._at = clock()

    def seconds_until_next(self) -> float:
        """Return the seconds until a fetch is allowed; 0: now."""
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._at) / PAUSE)
        self._at = now
        return 0.0 if self._left >= 1 else (1 - self._left) * PAUSE

    def take(self) -> bool:
        """Use one fetch. Return False if none is allowed now."""
        if self.seconds_until_next() > 0:
            return False
        self._left -= 1
        return True
