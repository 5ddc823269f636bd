"""An answer that is written already: nothing is left for the framework to encode or to work out."""

from typing import Final, TypeVar

from litestar import Response
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send

T = TypeVar("T")

JSON_TYPE: Final = (b"content-type", b"application/json")
OWN: Final = (b"cache-control", b"private, no-cache")
"""A person's own browser may keep an answer, and asks each time whether it still holds (RFC 9111 §5.2.2)."""


class Answer(Response[T]):
    """JSON, as bytes, or nothing. Litestar's own response spends more on headers than all else costs."""

    def __init__(
        self, body: bytes, *, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Take a body, and headers beside its type and length. Litestar's constructor has nothing to add."""
        self.body = body
        self.status = self.status_code = status
        self.fields = headers

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        """Send it."""
        told = [JSON_TYPE, (b"content-length", b"%d" % len(self.body))] if self.body else []
        start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": self.status,
            "headers": [*told, OWN, *self.fields],
        }
        rest: HTTPResponseBodyEvent = {"type": "http.response.body", "body": self.body, "more_body": False}
        await send(start)
        await send(rest)
