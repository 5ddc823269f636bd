"""Counts of requests in Valkey or Redis, shared by several processes.

While the store is down, each process counts by itself. No request fails for that, and only requests that
notice it wait, up to PATIENCE. A background task checks whether the store is back.
"""

import asyncio
from hashlib import blake2b
from itertools import count
from typing import Final

import structlog
from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.domain.rate_limit import RequestCounter
from app.infra.redis_errors import explain_redis_error

log = structlog.get_logger()

PATIENCE: Final = 0.5  # seconds for the store to respond
CONNECTIONS: Final = 8  # connections of a process, opened on demand
RETRY: Final = 1.0  # seconds between checks whether the store is back
PREFIX: Final = "taskward"
PROBE: Final = "probe"  # the name that `probe` counts: only a real count shows whether counting works
STORE_ERRORS: Final = (StorageError, OSError, TimeoutError)


class RedisCounter:
    """Counts in the store, or in `own`, the counter of this process, while the store is down."""

    def __init__(self, url: str, own: RequestCounter, *, ca_file: str | None = None) -> None:
        scheme, _, address = url.partition("://")
        self._url = url
        self._storage = RedisStorage(
            f"async+{scheme.replace('valkey', 'redis')}://{address}",  # both have the same protocol
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=PREFIX,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]  # passed on to the client
            **({} if ca_file is None else {"ssl_ca_certs": ca_file}),
        )
        self._own = own
        self._free_connections = asyncio.Semaphore(CONNECTIONS)
        self._starting: asyncio.Task[None] | None = None
        self._waiting_for_store: asyncio.Task[None] | None = None
        self.trouble: str | None = None

    async def add(self, name: str, number: int, window: int) -> int:
        # No time limit here: waiting for a free connection is not the store's fault.
        async with self._free_connections:
            if self._waiting_for_store is None:
                try:
                    async with asyncio.timeout(PATIENCE):
                        return await self._storage.incr(f"{_hash(name)}:{number}", window)
                except STORE_ERRORS as error:
                    self._note_loss(explain_redis_error(self._url, error))
        return await self._own.add(name, number, window)

    async def start(self) -> None:
        """Start to connect in the background, so that an error is logged before the first request."""
        self._starting = asyncio.create_task(self._probe_at_start())

    async def close(self) -> None:
        for task in (self._starting, self._waiting_for_store):
            if task is not None:
                task.cancel()
        await self._storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]  # that of redis-py

    async def probe(self, patience: float = PATIENCE) -> str | None:
        """Count once. Return what is wrong with the store, or None."""
        try:
            async with asyncio.timeout(patience):
                await self._storage.incr(PROBE, 1)
        except STORE_ERRORS as error:
            return explain_redis_error(self._url, error)
        return None

    async def _probe_at_start(self) -> None:
        if (trouble := await self.probe()) is not None:
            self._note_loss(trouble)

    def _note_loss(self, trouble: str) -> None:
        if self._waiting_for_store is None:  # the first of the waiting requests reports it
            self.trouble = trouble
            log.warning("rate limits are not shared: their store is unavailable", reason=trouble)
            self._waiting_for_store = asyncio.create_task(self._wait_for_store())

    async def _wait_for_store(self) -> None:
        for attempt in count():
            trouble = await self.probe()
            if trouble is None:
                break
            if attempt and trouble != self.trouble:  # it was down, and now it refuses the connection
                log.warning("rate limits are still not shared", reason=trouble)
            self.trouble = trouble
            await asyncio.sleep(RETRY)
        self._waiting_for_store = self.trouble = None
        log.warning("rate limits are shared again: their store is back")


def _hash(name: str) -> str:
    """Return a short hash of a name, because operators can read the store."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
