"""Counts that several processes share, in Valkey or Redis; while it is away, each process counts by itself.

Nobody is refused, and nobody waits, because a store of counts is away: it is asked again beside the requests.
"""

import asyncio
from hashlib import blake2b
from typing import Final

import structlog
from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.domain.rate_limit import Counts

log = structlog.get_logger()

PATIENCE: Final = 0.5  # seconds for the store to answer: a busy machine has more to do
CONNECTIONS: Final = 8  # of each process, opened as they are needed
RETRY: Final = 1.0  # seconds between questions whether it is back
PREFIX: Final = "taskward"


class SharedCounts:
    """Counts in the store, or else in `own`."""

    def __init__(self, url: str, own: Counts) -> None:
        scheme, _, address = url.partition("://")
        self._storage = RedisStorage(
            f"async+{scheme.replace('valkey', 'redis')}://{address}",  # they speak the same protocol
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=PREFIX,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # passed on to the client
        )
        self._own = own
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._searching: asyncio.Task[None] | None = None

    async def add(self, name: str, number: int, window: int) -> int:
        async with self._places:  # waited for without losing patience: that is no fault of the store's
            if self._searching is None:
                try:
                    async with asyncio.timeout(PATIENCE):
                        return await self._storage.incr(f"{_hidden(name)}:{number}", window)
                except (StorageError, OSError, TimeoutError) as error:
                    self._lost(error)
        return await self._own.add(name, number, window)

    async def close(self) -> None:
        if self._searching is not None:
            self._searching.cancel()
        await self._storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]  # that of redis-py

    def _lost(self, error: Exception) -> None:
        if self._searching is None:  # the first of those who were waiting tells it
            log.warning("rate limits are not shared: their store is away", reason=type(error).__name__)
            self._searching = asyncio.create_task(self._until_it_is_back())

    async def _until_it_is_back(self) -> None:
        while not await self._answers():  # noqa: ASYNC110 - no event tells when it is
            await asyncio.sleep(RETRY)
        self._searching = None
        log.warning("rate limits are shared again: their store is back")

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._storage.check()
        except (StorageError, OSError, TimeoutError):
            return False


def _hidden(name: str) -> str:
    """Name somebody in a store that operators look into, and in few bytes."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
