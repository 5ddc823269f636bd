"""The outermost middleware, which every request passes, even one that the router refuses.

It handles the request id, the rate limit per address, allowed hosts, HEAD for every GET, OPTIONS for every
path, CORS, and the request's log line. Litestar's router answers 404 and 405 before any of its middleware
runs, so this one wraps the whole application.
"""

import re
from collections.abc import Awaitable, Collection, Sequence
from http import HTTPStatus
from random import getrandbits
from typing import Any, Final

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope, Send

from app.api.backpressure import (
    LargeResponses,
    Room,
    incoming,
    is_large,
    person_of,
    release_body,
)
from app.api.middleware.client_addresses import ClientAddresses
from app.api.middleware.response_headers import Cors, rate_limit_headers, security_headers
from app.api.middleware.telemetry import Telemetry
from app.api.openapi.document import Document
from app.api.problems import MEDIA_TYPE, PROBLEM_BASE, PROBLEMS, Problem, allowed, document, of_status
from app.domain.errors import AnswersNotTaken, TooBusy, TooManyRequests
from app.domain.rate_limit import RateLimit
from app.logs import REQUEST_ID
from app.supervision import Worker

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEALTH: Final = ("/health", "/health/ready")  # probes use any host name, and have no rate limit
LAST: Final = (b"connection", b"close")


class Edge:
    """The ASGI application: Litestar, wrapped in the outermost middleware."""

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
        large: LargeResponses,
        bodies: Room,
        telemetry: Telemetry,
        problem_base: str,
    ) -> None:
        self.litestar = app
        self.document = document
        self._cors = cors
        self._hosts = hosts
        self._worker = worker
        self._large = large
        self._bodies = bodies
        self._clients = clients
        self._limit = limit  # per address
        self._telemetry = telemetry
        self._problem_base = problem_base
        routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
        self._methods = [
            (re.compile(re.sub(r"\\{[^/]*\\}", "[^/]+", re.escape(route.path_format))), route.methods)
            # The path with the fewest parameters comes first.
            for route in sorted(routes, key=lambda route: route.path_format.count("{"))
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: C901 - steps in their order
        """Answer one request. Pass lifespan events on."""
        if scope["type"] != "http":
            await self.litestar(scope, receive, send)
            return
        headers = dict(scope["headers"])
        began = self._telemetry.start(scope, headers)
        request_id = _request_id(headers.get(b"x-request-id", b""))
        token = REQUEST_ID.set(request_id)
        scope["request_id"] = request_id
        scope[PROBLEM_BASE] = self._problem_base
        scope["instance"] = scope["raw_path"].decode("ascii", "replace").partition("?")[0]
        method = scope["method"]
        extra = [
            (b"x-request-id", request_id.encode()),
            *security_headers(scope["path"], secure=self._clients.is_secure(scope)),
            *self._cors.headers(headers.get(b"origin")),
        ]
        if self._worker.leaving:
            extra.append(LAST)
        status = 0
        held: Message | None = None

        def answer(message: Message) -> Awaitable[None]:
            nonlocal status, held
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [
                    *message["headers"],
                    *extra,
                    *rate_limit_headers(scope.get("rate_limit")),
                ]
                if method != "HEAD" and is_large(message):
                    held = message
                    return _nothing()
            elif message["type"] == "http.response.body":
                if method == "HEAD":
                    message = {**message, "body": b""}  # the response to GET, without its body
                elif held is not None:
                    refusal = self._large.refusal(scope, len(message["body"]))
                    if refusal is None:
                        return self._large.send(send, held, message["body"], person_of(scope))
                    status = int(PROBLEMS[type(refusal)].status)
                    return _refuse_large(scope, send, refusal, extra)
            return send(message)  # type: ignore[no-any-return]  # what ASGI says

        body = incoming(headers, receive)
        try:
            await self._respond(scope, body or receive, answer, headers)
        finally:
            release_body(scope, self._bodies)
            self._telemetry.end(scope, method, status, began)
            REQUEST_ID.reset(token)
        if body is not None:
            await body.read_on()

    async def _respond(self, scope: Any, receive: Any, answer: Send, headers: dict[bytes, bytes]) -> None:
        """Check rate limit and host, answer OPTIONS, and pass all other requests to Litestar."""
        method = scope["method"]
        if method != "OPTIONS" and self._limit is not None and scope["path"] not in _HEALTH:
            scope["rate_limit"] = await self._limit.standing(self._clients.name(scope))
        if (standing := scope.get("rate_limit")) and standing.exceeded:
            wait = [(b"retry-after", b"%d" % standing.reset)]
            await refuse(answer, scope, PROBLEMS[TooManyRequests], wait)
        elif not self._is_ours(scope, headers):
            detail = "This service does not answer to the name in `Host`."
            await refuse(answer, scope, of_status(HTTPStatus.BAD_REQUEST), detail=detail)
        elif method == "OPTIONS" and (methods := self._methods_of(scope["path"])):
            origin, preflight = headers.get(b"origin"), b"access-control-request-method" in headers
            more = self._cors.preflight(origin, methods) if preflight and origin else []
            await empty(answer, [(b"allow", methods.encode()), *more])
        else:
            if method == "HEAD":
                scope["method"] = "GET"
            await self.litestar(scope, receive, answer)

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
        """Return every method of a path, separated by commas; an empty string for an unknown path."""
        path = path.rstrip("/") or "/"
        found = next((methods for pattern, methods in self._methods if pattern.fullmatch(path)), ())
        return allowed(sorted(found)) if found else ""


async def _nothing() -> None:
    pass


async def _refuse_large(
    scope: Any, send: Send, refusal: AnswersNotTaken | TooBusy, extra: list[tuple[bytes, bytes]]
) -> None:
    """Send a problem instead of a large response to a read."""
    wait = (b"retry-after", b"%d" % refusal.retry_after)
    await refuse(
        send, scope, PROBLEMS[type(refusal)], [wait, *extra, *rate_limit_headers(scope.get("rate_limit"))]
    )


def _request_id(sent: bytes) -> str:
    """Return the client's request id, which correlates both logs; a random one if it is invalid."""
    return sent.decode() if _REQUEST_ID.fullmatch(sent) else f"{getrandbits(128):032x}"


async def refuse(
    send: Send,
    scope: Any,
    problem: Problem,
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    detail: str = "",
) -> None:
    """Send a problem document."""
    body = document(problem, scope, detail=detail)
    fields = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": problem.status.value, "headers": fields})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def empty(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    """Send 204 with headers and no body."""
    await send({"type": "http.response.start", "status": HTTPStatus.NO_CONTENT.value, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
