"""Responses from JSON bytes, and the route decorators for handlers that return them.

Litestar computes some values for each request, although they never change. They are cached here
(docs/decisions/0005-the-hot-path.md; benchmarks/measurements.md has figures).
"""

from functools import partial
from typing import Any, TypeVar

from litestar import HttpMethod, Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import (
    ASGIApp,
    ExceptionHandlersMap,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Receive,
    Scope,
    Send,
)

T = TypeVar("T")


class JsonResponse(Response[T]):
    """A response with JSON bytes, or without a body.

    Litestar's `Response` spends more time on headers than on everything else.
    """

    content_type = (b"content-type", b"application/json")
    cache_control = (b"cache-control", b"private, no-cache")
    """A private cache may store the response, and must revalidate it at each use (RFC 9111 §5.2.2)."""

    def __init__(
        self, body: bytes, *, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Set a body, and headers other than its type and length. Litestar's constructor is not needed."""
        self.body = body
        self.status = self.status_code = status
        self.fields = headers

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """Return itself, because no layer adds headers or cookies to it."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the response."""
        entity_headers = [self.content_type, (b"content-length", b"%d" % len(self.body))] if self.body else []
        start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": self.status,
            "headers": [*entity_headers, self.cache_control, *self.fields],
        }
        rest: HTTPResponseBodyEvent = {"type": "http.response.body", "body": self.body, "more_body": False}
        await send(start)
        await send(rest)


class Route(HTTPRouteHandler):
    """A handler for authenticated users."""

    _exception_handlers: "ExceptionHandlersMap | None" = None

    def resolve_exception_handlers(self) -> ExceptionHandlersMap:
        """Return the exception handlers, cached at the first request. Litestar resolves them for each."""
        if self._exception_handlers is None:
            self._exception_handlers = super().resolve_exception_handlers()
        return self._exception_handlers

    async def to_response(self, app: Litestar, data: Any, request: Request[Any, Any, Any]) -> ASGIApp:
        """Return a JsonResponse unchanged."""
        if isinstance(data, JsonResponse):
            return data
        return await super().to_response(app, data, request)


class PublicRoute(Route):
    """A handler that needs no token. There is no other way to make a handler public."""


get, post, put, patch, delete = (
    partial(Route, http_method=method)
    for method in (HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE)
)
"""Litestar has decorators of these names too. They are classes that must not be subclassed."""

get_public = partial(PublicRoute, http_method=HttpMethod.GET)


def etag(version: int) -> bytes:
    """Return the entity tag of a version."""
    return b'"%d"' % version
