"""The outermost middleware, which every request passes, even one that the router refuses.

It handles the request id, security headers, the rate limit per address, allowed hosts, HEAD for every GET,
OPTIONS for every known path, and CORS. It calls the telemetry (log line, metrics, span). Litestar's router
answers 404 and 405 before any of Litestar's middleware runs, so this one wraps the whole application.
"""

import re
from collections.abc import Awaitable, Collection
from http import HTTPStatus
from typing import Any, Final

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.types import Message, Send

from app.api.backpressure import LARGE_RESPONSE, READ_ON_AFTER_408, READ_ON_FOR, IncomingBody, body_event
from app.api.context import AppState, RequestContext, answer_as_get, make_context
from app.api.middleware.client_addresses import ClientAddresses
from app.api.middleware.response_headers import Cors, rate_limit_headers, security_headers
from app.api.middleware.telemetry import Telemetry
from app.api.openapi.document import Document
from app.api.problems import PROBLEMS, ProblemResponse, allow_header, problem_of_status
from app.domain.errors import TooManyRequests
from app.domain.rate_limit import RateLimit
from app.event_loop import SMALL_REQUESTS
from app.logs import PROBES, REQUEST_ID
from app.supervision import Worker

CONNECTION_CLOSE: Final = (b"connection", b"close")


class Edge:
    """The ASGI application: Litestar, wrapped in the outermost middleware."""

    def __init__(  # noqa: PLR0913 - all are passed by name, in one place
        self,
        app: Litestar,
        document: Document,
        *,
        cors: Cors,
        hosts: Collection[str] | None,
        clients: ClientAddresses,
        limit: RateLimit | None,
        worker: Worker,
        telemetry: Telemetry,
        app_state: AppState,
    ) -> None:
        self.litestar = app
        self.document = document
        self._cors = cors
        self._hosts = hosts
        self._worker = worker
        self._clients = clients
        self._limit = limit  # per address
        self._telemetry = telemetry
        self.app_state = app_state
        routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
        self._methods = [
            (re.compile(re.sub(r"\\{[^/]*\\}", "[^/]+", re.escape(route.path_format))), route.methods)
            # The path with the fewest parameters comes first.
            for route in sorted(routes, key=lambda route: route.path_format.count("{"))
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: C901 - steps in their order
        """Answer one request. Pass lifespan events on."""
        context = make_context(scope, self.app_state)
        if context is None:
            await self.litestar(scope, receive, send)
            return
        began = self._telemetry.start(context)
        token = REQUEST_ID.set(context.request_id)
        method = context.method
        extra = [
            (b"x-request-id", context.request_id.encode()),
            *security_headers(context.path, secure=self._clients.is_secure(context)),
            *self._cors.headers(context.headers.get(b"origin")),
        ]
        if self._worker.is_leaving:
            extra.append(CONNECTION_CLOSE)
        status = 0
        delayed_start: Message | None = None  # of a large response: sent with the body, if memory allows it

        def answer(message: Message) -> Awaitable[None]:
            nonlocal status, delayed_start
            if message["type"] == "http.response.start":
                status = int(message["status"])
                context.end_turn()  # a client may read the response slowly
                message["headers"] = [*message["headers"], *extra, *rate_limit_headers(context.rate_limit)]
                if method != "HEAD" and _is_large(message):
                    delayed_start = message
                    return _do_nothing()
            elif message["type"] == "http.response.body":
                if method == "HEAD":
                    message = {**message, "body": b""}  # the response to GET, without its body
                elif delayed_start is not None:
                    large, size = self.app_state.large_responses, len(message["body"])
                    public = context.user is None
                    reader = self._clients.address_of(context) if public else context.user_id
                    # Only a GET is refused. A write is already done, so its response is always sent.
                    refusal = large.refusal_for(reader, size, public=public) if method == "GET" else None
                    if refusal is None:
                        return large.send(send, delayed_start, message["body"], reader, public=public)
                    wait = {"retry-after": str(refusal.retry_after)}
                    problem = ProblemResponse(context, PROBLEMS[type(refusal)], wait)
                    problem.fields += (*extra, *rate_limit_headers(context.rate_limit))
                    status = problem.status
                    # Not `answer`: if it referred to itself, each request would leave a reference cycle.
                    return problem(scope, receive, send)
            return send(message)  # type: ignore[no-any-return]  # ASGI's `send` returns an awaitable of None

        body = IncomingBody(receive) if context.may_have_large_body else None
        SMALL_REQUESTS.count += 1
        try:
            await self._respond(context, scope, body or receive, answer)
        finally:
            context.end_turn()
            if context.counted_bytes:
                self.app_state.bodies.release(context.user_id, context.counted_bytes)
            else:  # otherwise `TaskRequest.count_large_body` has done this already
                SMALL_REQUESTS.count -= 1
            self._telemetry.end(context, status, began)
            REQUEST_ID.reset(token)
        if body is not None:
            await body.read_on(READ_ON_AFTER_408 if status == HTTPStatus.REQUEST_TIMEOUT else READ_ON_FOR)

    async def _respond(self, context: RequestContext, scope: Any, receive: Any, answer: Send) -> None:
        """Check rate limit (not of health probes) and host, answer OPTIONS, pass all else to Litestar."""
        if context.method != "OPTIONS" and self._limit is not None and context.path not in PROBES:
            context.rate_limit = await self._limit.count_request(self._clients.address_of(context))
        if context.rate_limit and context.rate_limit.exceeded:
            headers = {"retry-after": str(context.rate_limit.reset)}
            # The server then drops the client's pipelined requests without any work.
            if self._clients.is_direct(context):
                headers["connection"] = "close"
            await ProblemResponse(context, PROBLEMS[TooManyRequests], headers)(scope, receive, answer)
        elif not self._has_allowed_host(context):
            problem = problem_of_status(HTTPStatus.BAD_REQUEST)
            detail = "Send one `Host` header with a host name of this service."
            await ProblemResponse(context, problem, detail=detail)(scope, receive, answer)
        elif context.method == "OPTIONS" and (methods := self._methods_of(context.path)):
            origin = context.headers.get(b"origin")
            preflight = b"access-control-request-method" in context.headers
            more = self._cors.preflight(origin, methods) if preflight and origin else []
            allow = [(b"allow", methods.encode()), *more]
            await answer({"type": "http.response.start", "status": 204, "headers": allow})
            await answer(body_event(b"", more=False))
        else:
            if context.method == "HEAD":
                answer_as_get(scope)
            await self.litestar(scope, receive, answer)

    def _has_allowed_host(self, context: RequestContext) -> bool:
        """Return whether the request names an allowed host, or is a health probe, which may use any name."""
        if self._hosts is None or context.path in PROBES:
            return True
        lines = context.lines(b"host")
        if len(lines) != 1:
            return False
        name = re.sub(r":\d*$", "", lines[0].lower())
        return name in self._hosts or any(
            host.startswith("*.") and name.endswith(host[1:]) for host in self._hosts
        )

    def _methods_of(self, path: str) -> str:
        """Return every method of a path, separated by commas; an empty string for an unknown path."""
        path = path.rstrip("/") or "/"
        found = next((methods for pattern, methods in self._methods if pattern.fullmatch(path)), ())
        return allow_header(sorted(found)) if found else ""


def _is_large(start: Message) -> bool:
    """Return whether a response is large, by its Content-Length."""
    for name, value in start["headers"]:  # type: ignore[typeddict-item]  # http.response.start has them
        if name == b"content-length":
            return int(value) > LARGE_RESPONSE
    return False


async def _do_nothing() -> None:
    pass
