"""Litestar's verbs, for handlers whose answers are written already.

What Litestar works out anew at each request, though it never changes, is kept here: 3 µs of 42 that a read
takes (docs/decisions/0005-the-hot-path.md).
"""

from functools import partial
from typing import Any

from litestar import HttpMethod, Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, ExceptionHandlersMap

from app.api.responses import Answer


class _Settled(HTTPRouteHandler):
    _exception_handlers: "ExceptionHandlersMap | None" = None

    def resolve_exception_handlers(self) -> ExceptionHandlersMap:
        """Return them, found at the first request; Litestar asks for them at each."""
        if self._exception_handlers is None:
            self._exception_handlers = super().resolve_exception_handlers()
        return self._exception_handlers

    async def to_response(self, app: Litestar, data: Any, request: Request[Any, Any, Any]) -> ASGIApp:
        """Return what sends an answer: the answer itself, to which no layer has anything to add."""
        if isinstance(data, Answer):
            return data
        return await super().to_response(app, data, request)


get, post, put, patch, delete = (
    partial(_Settled, http_method=method)
    for method in (HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE)
)
"""As Litestar's decorators of these names, which are classes not to be inherited from."""
