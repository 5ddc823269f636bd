"""The outermost layer: what holds for every request, whatever the router says.

A request id, how often an address may ask, the names we answer to, HEAD wherever GET works, OPTIONS for
every path, CORS, and one line in the log. Litestar's router answers 404 and 405 before any of its
middleware, so this is around it.
"""

import re
from collections.abc import Awaitable, Collection, Sequence
from http import HTTPStatus
from random import getrandbits
from time import perf_counter
from typing import Any, Final

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope, Send

from app import logs
from app.api.client_addresses import ClientAddresses
from app.api.cors import Cors
from app.api.openapi import Document
from app.api.problems import MEDIA_TYPE, PROBLEMS, Problem, allowed, document, of_status
from app.api.rate_limits import told
from app.api.security_headers import security_headers
from app.domain.errors import TooManyRequests
from app.domain.rate_limit import RateLimit
from app.logs import REQUEST_ID
from app.supervision import Worker

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEALTH: Final = ("/health", "/health/ready")  # asked by address, not by name, and as often as one likes
LAST: Final = (b"connection", b"close")


class Edge:
    """The ASGI application: Litestar, with an edge around it."""

    def __init__(  # noqa: PLR0913 - keywords, each given at its one call
        self,
        app: Litestar,
        document: Document,
        *,
        cors: Cors,
        hosts: Collection[str] | None,
        clients: ClientAddresses,
        limit: RateLimit | None,
        worker: Worker,
    ) -> None:
        self.litestar = app
        self.document = document
        self._cors = cors
        self._hosts = hosts
        self._worker = worker
        self._clients = clients
        self._limit = limit  # of each address
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
        began = perf_counter()
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        token = REQUEST_ID.set(request_id)
        scope["request_id"] = request_id
        scope["instance"] = scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        method, origin = scope["method"], headers.get(b"origin")
        extra = [
            (b"x-request-id", request_id.encode()),
            *security_headers(scope["path"], secure=self._clients.is_secure(scope)),
            *self._cors.headers(origin),
        ]
        if self._worker.leaving:
            extra.append(LAST)
        status = 0

        def answer(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message["headers"], *extra, *told(scope.get("rate_limit"))]
            elif method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}  # the answer to GET, without its body
            return send(message)  # type: ignore[no-any-return]  # what ASGI says

        try:
            if method != "OPTIONS" and self._limit is not None and scope["path"] not in _HEALTH:
                scope["rate_limit"] = await self._limit.standing(self._clients.name(scope))
            if (standing := scope.get("rate_limit")) and standing.exceeded:
                wait = [(b"retry-after", b"%d" % standing.reset)]
                await _refuse(answer, scope, PROBLEMS[TooManyRequests], wait)
            elif not self._is_ours(scope, headers):
                detail = "This service does not answer to the name in `Host`."
                await _refuse(answer, scope, of_status(HTTPStatus.BAD_REQUEST), detail=detail)
            elif method == "OPTIONS" and (methods := self._methods_of(scope["path"])):
                preflight = b"access-control-request-method" in headers
                more = self._cors.preflight(origin, methods) if preflight and origin else []
                await _empty(answer, [(b"allow", methods.encode()), *more])
            else:
                if method == "HEAD":
                    scope["method"] = "GET"
                await self.litestar(scope, receive, answer)
        finally:
            route = scope.get("path_template")  # never the path: it names a person
            logs.request(request_id, method, route, status, (perf_counter() - began) * 1000)
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


async def _refuse(
    send: Send,
    scope: Any,
    problem: Problem,
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    detail: str = "",
) -> None:
    instance, request_id = scope["instance"], scope["request_id"]
    body = document(problem, instance=instance, request_id=request_id, detail=detail)
    told = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": problem.status.value, "headers": told})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _empty(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": HTTPStatus.NO_CONTENT.value, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
