"""A server of a key set. A test can change its behaviour while it runs."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from app.infra.auth.jwks import Jwks
from tests.support.servers.tcp import listening
from tests.support.signing import jwks_of
from tests.support.waiting import wait_until_async

Keys = list[dict[str, Any]]

BODIES: Final[dict[str, Callable[[Keys], bytes]]] = {
    "good": lambda keys: jwks_of(*keys),
    "packed": lambda keys: gzip.compress(jwks_of(*keys)),
    "huge": lambda keys: jwks_of(*keys) + b" " * 20_000_000,
    "html": lambda _: b"<html>Sign in</html>",
    "nothing": lambda _: b"",
    "empty": lambda _: b'{"keys":[]}',
    "a list": lambda keys: json.dumps(keys).encode(),
    "no keys": lambda _: b"{}",
    "no object": lambda keys: jwks_of(*keys, None),
    "utf-16": lambda keys: jwks_of(*keys).decode().encode("utf-16"),
    "twice named": lambda keys: jwks_of(*keys).replace(b"{", b'{"keys":[],', 1),
    "secret kind": lambda keys: jwks_of(*keys, {"kty": "oct", "kid": "x", "alg": "HS256"}),
    "private": lambda keys: jwks_of(*({**key, "d": "AAAA"} for key in keys)),
    "same id": lambda keys: jwks_of(*keys, *keys),
}


@dataclass
class JwksServer:
    """The server's behaviour, and its number of requests.

    `behaviour` is one of `BODIES`, or one of: slow, hang, drip, drip head, reset, 500, redirect, endless.
    """

    url: str = ""
    keys: Keys = field(default_factory=list)
    behaviour: str = "good"
    requests: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            await self._answer(writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        body = BODIES.get(self.behaviour, BODIES["good"])(self.keys)
        head = self._head(body)
        match self.behaviour:
            case "hang":
                await asyncio.sleep(30)
            case "reset":
                writer.transport.abort()
            case "drip":
                writer.write(head)
                await _drip(writer, body)
            case "drip head":
                await _drip(writer, head)
            case "endless":
                writer.write(head + body)
                while True:
                    writer.write(b" " * 100_000)
                    await writer.drain()
            case "slow":
                await asyncio.sleep(0.3)
                writer.write(head + body)
            case _:
                writer.write(head + body)

    def _head(self, body: bytes) -> bytes:
        status, more = "200 OK", f"Content-Length: {len(body)}\r\n"
        match self.behaviour:
            case "500":
                status = "500 Internal Server Error"
            case "redirect":
                status, more = "302 Found", f"{more}Location: {self.url}\r\n"
            case "packed":
                more += "Content-Encoding: gzip\r\n"
            case "endless":
                more = ""
        return f"HTTP/1.1 {status}\r\n{more}\r\n".encode()


@asynccontextmanager
async def fetched_from(server: JwksServer, *, wait: bool = True, **arguments: Any) -> AsyncIterator[Jwks]:
    """Start the client of a key server; with `wait`, wait until the client has keys."""
    keys = Jwks(server.url, **arguments)
    await keys.start()
    try:
        if wait:
            await wait_until_async(lambda: keys.ready, seconds=2)
        yield keys
    finally:
        await keys.close()


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for byte in data:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.2)


@asynccontextmanager
async def jwks_server(
    *keys: dict[str, Any], tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[JwksServer]:
    """Serve keys on a port of this machine."""
    server = JwksServer(keys=list(keys))
    async with listening(server.serve, port=port, tls=tls) as chosen:
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{chosen}/jwks"
        yield server
