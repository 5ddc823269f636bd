"""The outermost layer: what holds for every request, whatever the router says.

A request id, the names we answer to, HEAD wherever GET works, OPTIONS for every path, CORS, and one
line in the log. Litestar's router answers 404 and 405 before any of its middleware, so this is around it.
"""

import re
from collections.abc import Awaitable, Collection
from http import HTTPStatus
from random import getrandbits
from typing import Any, Final

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope, Send

from app.api.cors import Cors
from app.api.observation import Observation
from app.api.openapi import Document
from app.api.problems import MEDIA_TYPE, allowed, document, of_status
from app.logs import REQUEST_ID
from app.supervision import Worker

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEALTH: Final = ("/health", "/health/ready")  # asked by address, not by name
LAST: Final = (b"connection", b"close")
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")


class Edge:
    """The ASGI application: Litestar, with an edge around it."""

    def __init__(  # noqa: PLR0913 - keywords, each given at its one call
        self,
        app: Litestar,
        document: Document,
        *,
        cors: Cors,
        hosts: Collection[str] | None,
        observation: Observation,
        worker: Worker,
    ) -> None:
        self.litestar = app
        self.document = document
        self._cors = cors
        self._hosts = hosts
        self._worker = worker
        self._observation = observation
        routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
        self._methods = [
            (re.compile(re.sub(r"\\{[^/]*\\}", "[^/]+", re.escape(route.path_format))), route.methods)
            for route in sorted(routes, key=lambda route: route.path_format.count("{"))  # fewest first
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or pass the server's start and stop on."""
        if scope["type"] != "http":
            await self.litestar(scope, receive, send)
            return
        headers = dict(scope["headers"])
        began = self._observation.begun(scope, headers)
        request_id = _request_id(headers.get(b"x-request-id", b""))
        token = REQUEST_ID.set(request_id)
        scope["request_id"] = request_id
        scope["instance"] = scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        method, origin = scope["method"], headers.get(b"origin")
        extra = [(b"x-request-id", request_id.encode()), NOSNIFF, *self._cors.headers(origin)]
        if self._worker.leaving:
            extra.append(LAST)
        status = 0

        def answer(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message["headers"], *extra]
            elif method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}  # the answer to GET, without its body
            return send(message)  # type: ignore[no-any-return]  # what ASGI says

        try:
            if not self._is_ours(scope, headers):
                await _refuse_host(scope, answer)
            elif method == "OPTIONS" and (methods := self._methods_of(scope["path"])):
                preflight = b"access-control-request-method" in headers
                more = self._cors.preflight(origin, methods) if preflight and origin else []
                await _empty(answer, [(b"allow", methods.encode()), *more])
            else:
                if method == "HEAD":
                    scope["method"] = "GET"
                await self.litestar(scope, receive, answer)
        finally:
            self._observation.answered(scope, method, status, began)
            REQUEST_ID.reset(token)

    def _is_ours(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        if self._hosts is None or scope["path"] in _HEALTH:
            return True
        if [name for name, _ in scope["headers"]].count(b"host") != 1:
            return False
        name = re.sub(r":\d*$", "", headers[b"host"].decode("latin-1").lower())
        return name in self._hosts or any(
            host.startswith("*.") and name.endswith(host[1:]) for host in self._hosts
        )

    def _methods_of(self, path: str) -> str:
        """Return every method of a path, split by commas; nothing where there is no such path."""
        path = path.rstrip("/") or "/"
        found = next((methods for pattern, methods in self._methods if pattern.fullmatch(path)), ())
        return allowed(sorted(found)) if found else ""


def _request_id(sent: bytes) -> str:
    """Take over the client's id, so that its logs and ours can be read together; replace a hostile one."""
    return sent.decode() if _REQUEST_ID.fullmatch(sent) else f"{getrandbits(128):032x}"


async def _refuse_host(scope: Any, send: Send) -> None:
    problem = of_status(HTTPStatus.BAD_REQUEST)
    body = document(problem, scope, detail="This service does not answer to the name in `Host`.")
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _empty(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": HTTPStatus.NO_CONTENT.value, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
