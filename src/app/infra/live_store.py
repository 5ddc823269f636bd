"""Announcements of changes between machines, by the publish and subscribe commands of Valkey or Redis.

A message has the hashes of the owners whose tasks changed within 20 ms. Messages are lost while a connection
is down. So every stream looks for changes after each confirmed subscription, after the first publish that
follows a failed one, and after each start of a process.
"""

import asyncio
from contextlib import suppress
from secrets import token_bytes
from typing import Final

import structlog
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.infra.redis_errors import explain_redis_error
from app.live.hub import Hub

log = structlog.get_logger()

CHANNEL: Final = "taskward:live"
COLLECT: Final = 0.02  # seconds in which announcements become one message
PATIENCE: Final = 0.5  # seconds for the store to take a message
PING: Final = 3.0  # seconds of silence until a PING, and for its reply
RETRY: Final = 1.0  # seconds between attempts to connect
SENDER_BYTES: Final = 8  # of the random id by which a process ignores its own messages
DIGEST_BYTES: Final = 16  # of the hash of an owner
STORE_ERRORS: Final = (RedisError, OSError, TimeoutError)


class LiveStore:
    """Publishes announcements of this process, and passes those of others to its hub."""

    def __init__(self, url: str, hub: Hub, *, ca_file: str | None = None) -> None:
        self._url = url
        self._hub = hub
        self._sender = token_bytes(SENDER_BYTES)
        self._connections = _connections(url, ca_file)
        self._collected: set[bytes] = set()
        self._has_collected = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._troubles: dict[str, str] = {}
        hub.use_store(self._collect)

    @property
    def trouble(self) -> str | None:
        """Why changes are not announced between machines; None if they are."""
        return next(iter(self._troubles.values()), None)

    async def start(self) -> None:
        """Start to connect in the background."""
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._listen())]

    async def close(self) -> None:
        """Close both connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _collect(self, digest: bytes) -> None:
        self._collected.add(digest)
        self._has_collected.set()

    async def _send(self) -> None:
        """Publish what was collected, over one connection for as long as it works."""
        may_be_missing = True  # a process that ran before this one may have died before it published
        while True:
            connection = _new_connection(self._connections)
            try:
                while True:
                    if not may_be_missing:
                        await self._has_collected.wait()
                        await asyncio.sleep(COLLECT)
                    self._has_collected.clear()
                    digests = b"" if may_be_missing else b"".join(self._collected)  # empty: every owner's
                    self._collected.clear()
                    may_be_missing = True
                    async with asyncio.timeout(PATIENCE):
                        await connection.send_command("PUBLISH", CHANNEL, self._sender + digests)
                        await connection.read_response()
                    may_be_missing = False
                    self._note("publish", None)
            except STORE_ERRORS as error:
                self._note("publish", error)
            finally:
                await _drop(connection)
            await asyncio.sleep(RETRY)

    async def _listen(self) -> None:
        """Pass messages to the hub, over one connection for as long as it works."""
        while True:
            connection = _new_connection(self._connections)
            try:
                async with asyncio.timeout(PING):
                    await connection.send_command("SUBSCRIBE", CHANNEL)
                    await connection.read_response()
                self._note("subscribe", None)
                self._hub.set_store_connected(True)
                while True:
                    self._handle(await _next_reply(connection))
            except STORE_ERRORS as error:
                self._note("subscribe", error)
            finally:
                self._hub.set_store_connected(False)
                await _drop(connection)
            await asyncio.sleep(RETRY)

    def _handle(self, reply: object) -> None:
        match reply:
            case [b"message", _, bytes(data)] if not data.startswith(self._sender):
                digests = data[SENDER_BYTES:]
                if digests:
                    starts = range(0, len(digests), DIGEST_BYTES)
                    self._hub.hear([digests[start : start + DIGEST_BYTES] for start in starts])
                else:
                    self._hub.hear_of_everyone()

    def _note(self, command: str, error: BaseException | None) -> None:
        """Note whether a command works, and log the first failure and the return."""
        before = self.trouble
        if error is None:
            self._troubles.pop(command, None)
        else:
            self._troubles[command] = explain_redis_error(self._url, error, setting="LIVE_STORE")
        if before is None and self.trouble is not None:
            log.warning("changes are not announced to other machines", reason=self.trouble)
        elif before is not None and self.trouble is None:
            log.warning("changes are announced to other machines again")


async def _next_reply(connection: AbstractConnection) -> object:
    """Return the next reply. If there is none for a while, check that the store still answers."""
    reply = await connection.read_response(timeout=PING)
    if reply is None:
        await connection.send_command("PING")
        reply = await connection.read_response(timeout=PING)
        if reply is None:
            raise TimeoutError
    return reply


async def _drop(connection: AbstractConnection) -> None:
    with suppress(*STORE_ERRORS):
        await connection.disconnect(nowait=True)


def _connections(url: str, ca_file: str | None) -> ConnectionPool:
    scheme, _, address = url.partition("://")
    return ConnectionPool.from_url(
        f"{scheme.replace('valkey', 'redis')}://{address}",  # both have the same protocol
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        **({} if ca_file is None else {"ssl_ca_certs": ca_file}),
    )


def _new_connection(connections: ConnectionPool) -> AbstractConnection:
    """Return a connection that opens itself at its first command.

    redis-py's subscription client would subscribe again without a report, and lose the messages in between.
    """
    return connections.make_connection()  # type: ignore[no-any-return,no-untyped-call]  # redis-py's


async def announce_everyone(url: str, ca_file: str | None, patience: float) -> str | None:
    """Make the streams of every process read the feed. Return what is wrong with the store, or None."""
    connection = _new_connection(_connections(url, ca_file))
    try:
        async with asyncio.timeout(patience):
            await connection.send_command("PUBLISH", CHANNEL, token_bytes(SENDER_BYTES))
            await connection.read_response()
    except STORE_ERRORS as error:
        return explain_redis_error(url, error, setting="LIVE_STORE")
    finally:
        await _drop(connection)
    return None
