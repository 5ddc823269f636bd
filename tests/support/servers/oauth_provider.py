"""A fake OAuth 2.0 provider, for example of a company. It always signs in the same person, without a password."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.servers.tcp import listening


@dataclass
class OAuthProvider:
    """The provider, with the e-mail address of its only person."""

    url: str = ""
    email: str = "ann@company.example"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = urlsplit(head.split(" ", 2)[1])
        match target.path:
            case "/authorize":
                query = {name: values[0] for name, values in parse_qs(target.query).items()}
                back = urlencode({"code": "a code", "state": query["state"]})
                self._answer(writer, HTTPStatus.FOUND, location=f"{query['redirect_uri']}?{back}")
            case "/token":
                self._answer(
                    writer, HTTPStatus.OK, {"access_token": "an access token", "token_type": "Bearer"}
                )
            case "/userinfo":
                person = {"id": "42", "sub": "42", "email": self.email, "name": "Ann"}
                self._answer(writer, HTTPStatus.OK, {**person, "email_verified": True})
            case _:
                self._answer(writer, HTTPStatus.NOT_FOUND)
        await writer.drain()
        writer.close()

    def _answer(
        self, writer: asyncio.StreamWriter, status: HTTPStatus, body: object = None, location: str = ""
    ) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Length: {len(text)}",
            "Content-Type: application/json",
            "Connection: close",
            *([f"Location: {location}"] if location else []),
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + text)


@asynccontextmanager
async def oauth_provider() -> AsyncIterator[OAuthProvider]:
    """Run a provider on a free port."""
    provider = OAuthProvider()
    async with listening(provider.serve) as port:
        provider.url = f"http://127.0.0.1:{port}"
        yield provider
