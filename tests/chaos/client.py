"""A small HTTP/1.1 client that uses little CPU: one connection, one request at a time."""

import asyncio
import json
from contextlib import suppress
from typing import Any, Final

from tests.chaos.answers import BROKEN, REFUSED, UNKNOWN

PATIENCE: Final = 20.0  # seconds: longer than any deadline of the service
UNKNOWN_TYPE: Final = "/problems/outcome-unknown"


class Client:
    """One connection, opened again after it was closed. `keep=False`: it is closed after each response."""

    def __init__(self, port: int, *, keep: bool = True) -> None:
        self.port = port
        self._keep = keep
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, token: str, body: Any = None
    ) -> tuple[str, dict[str, str], Any]:
        """Return status, headers and body; `refused` and `broken` have neither headers nor body."""
        sent = b"" if body is None else json.dumps(body).encode()
        of_body = f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n" if sent else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{of_body}\r\n"
        )
        try:
            reader, writer = await self._connected()
        except OSError:
            return REFUSED, {}, None
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(head.encode() + sent)
                status, headers, body = await _answer(reader)
        except (OSError, EOFError, TimeoutError):
            self.close()
            return BROKEN, {}, None
        if not self._keep or headers.get("connection") == "close":
            self.close()
        if status == "503" and body and body["type"] == UNKNOWN_TYPE:
            status = UNKNOWN
        return status, headers, body

    def close(self) -> None:
        """Close the connection."""
        if self._ends is not None:
            with suppress(OSError):
                self._ends[1].close()
        self._ends = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._ends is not None and (self._ends[0].at_eof() or self._ends[1].is_closing()):
            self.close()
        if self._ends is None:
            self._ends = await asyncio.open_connection("127.0.0.1", self.port)
        return self._ends


async def _answer(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], Any]:
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    status = status_line.split(" ")[1]
    return status, headers, json.loads(body) if body else None
