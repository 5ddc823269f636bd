"""An answer that is written already: nothing is left for the framework to encode or to work out."""

from typing import Any, Final, TypeVar

from litestar import Response
from litestar.types import ASGIApp, HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send

T = TypeVar("T")

JSON: Final = (b"content-type", b"application/json")


class Answer(Response[T]):
    """JSON, as bytes, or nothing. Litestar's own response spends more on headers than all else costs."""

    def __init__(
        self, body: bytes, *, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Take a body, and headers beside its type and length. Litestar's constructor has nothing to add."""
        self.content = body  # type: ignore[assignment]  # T is what the document says
        self._status = self.status_code = status
        self._headers = headers

    def to_asgi_response(self, *_: object, **__: object) -> ASGIApp:  # type: ignore[override]
        """Return the application that sends it: this answer itself."""
        return self.__call__

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        """Send it."""
        body: Any = self.content
        told = [JSON, (b"content-length", b"%d" % len(body))] if body else []
        start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": self._status,
            "headers": [*told, *self._headers],
        }
        rest: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
        await send(start)
        await send(rest)
