"""A server of keys whose behaviour a test switches while it runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class JwksServer:
    """What it does, and how often it was asked."""

    port: int = 0
    keys: list[dict[str, Any]] = field(default_factory=list)
    behaviour: str = "200"
    asked: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks"

    def answer(self) -> bytes:
        """Return the bytes of the answer."""
        body = json.dumps({"keys": self.keys}).encode()
        status, more = "200 OK", ""
        match self.behaviour:
            case "500":
                status = "500 Internal Server Error"
            case "redirect":
                status, more = "302 Found", f"Location: {self.url}\r\n"
            case "html":
                body = b"<html>Sign in</html>"
            case "empty":
                body = b'{"keys":[]}'
            case "no object":
                body = b"[]"
            case "huge":
                body = b'{"keys":[], "x":"' + b"y" * 20_000_000 + b'"}'
            case "secret kind":
                body = json.dumps({"keys": [*self.keys, {"kty": "oct", "k": "AAAA"}]}).encode()
            case "private":
                body = json.dumps({"keys": [{**self.keys[0], "d": "AAAA"}]}).encode()
            case "twice":
                body = json.dumps({"keys": [self.keys[0], self.keys[0]]}).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
        return head.encode() + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            answer = self.answer()
            match self.behaviour:
                case "hang":
                    await asyncio.sleep(30)
                case "reset":
                    writer.transport.abort()
                case "drip":
                    for byte in answer:
                        writer.write(bytes([byte]))
                        await asyncio.sleep(0.2)
                case "slow":
                    await asyncio.sleep(0.3)
                    writer.write(answer)
                case _:
                    writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def jwks_server(*keys: dict[str, Any]) -> AsyncIterator[JwksServer]:
    """Serve keys on a port of this machine."""
    told = JwksServer(keys=list(keys))
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(told.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    told.port = server.sockets[0].getsockname()[1]
    try:
        yield told
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
