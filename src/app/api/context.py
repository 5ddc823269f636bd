"""The context of a request: what the middleware reads from the ASGI scope and computes from it.

Handlers and the log use the context. Only this module reads the keys of an ASGI scope.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import getrandbits
from typing import Any, Final

from litestar.handlers import BaseRouteHandler

from app.api.backpressure import KERNEL_BUFFERS, ByteBudget, EndTurn, LargeBodies, LargeResponses
from app.domain.identity import TokenVerifier, UserId
from app.domain.rate_limit import QuotaState
from app.domain.task_service import TaskService
from app.domain.unit_of_work import UnitOfWork
from app.live.hub import Hub

_SCOPE_KEY: Final = "taskward"
_DIGITS: Final = len(str(KERNEL_BUFFERS))  # a Content-Length with more digits is larger than KERNEL_BUFFERS
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """What all requests of a process share. `app.composition` makes it."""

    unit_of_work_of: Callable[[UserId], UnitOfWork]
    unit_of_work_of_stream: Callable[[UserId], UnitOfWork]  # does not wait for the person's requests
    bodies: ByteBudget  # request bodies in memory
    large_bodies: LargeBodies
    large_responses: LargeResponses
    problem_base: str  # the base URL of the pages of problem types
    require_if_match: bool  # a write without `If-Match` is 428
    body_timeout: float  # seconds within which a whole body must arrive
    hub: Hub  # the open event streams
    verifier: TokenVerifier
    shutdown_delay: int  # seconds from the stop signal until the process refuses new connections


@dataclass(slots=True)
class RequestContext:
    """One request. The outermost middleware makes it, and each step adds what it finds."""

    app: AppState
    request_id: str
    method: str
    path: str
    raw_path: bytes
    query: bytes
    header_lines: Sequence[tuple[bytes, bytes]]
    headers: Mapping[bytes, bytes]
    """The first line of each header. ASGI has names in lower case."""
    peer: str
    trace_id: str | None = None
    span: Any = None
    route: str | None = None  # the path template of the matched route
    user: UserId | None = None  # of the verified token
    rate_limit: QuotaState | None = None
    problem: str | None = None  # the slug of the problem that is the response
    counted_bytes: int = 0  # bytes of the body that are counted in `app.bodies`
    turn: EndTurn | None = None  # ends the turn of a large body, which lasts from parsing to the response
    stream_began: float | None = None  # seconds of `perf_counter`; None: the response is no event stream

    def end_turn(self) -> None:
        """Give up the turn of a large body, so that the person's next one gets it."""
        if self.turn is not None:
            self.turn()
            self.turn = None

    @property
    def user_id(self) -> UserId:
        """The user of the token. Only a public route has none."""
        if self.user is None:
            raise RuntimeError("the request is not authenticated: it has no user id")
        return self.user

    @property
    def unit_of_work(self) -> UnitOfWork:
        """A new unit of work for the user."""
        return self.app.unit_of_work_of(self.user_id)

    @property
    def tasks(self) -> TaskService:
        """A service for the user's tasks, with a new unit of work."""
        return self.app.unit_of_work_of(self.user_id).tasks

    @property
    def instance(self) -> str:
        """The path, still percent-encoded."""
        return self.raw_path.decode("ascii", "replace").partition("?")[0]

    @property
    def may_have_large_body(self) -> bool:
        """Whether the body may be too large for the kernel's buffer.

        With `Expect: 100-continue` a client sends no body if the response is not 100 (RFC 9110 §10.1.1).
        """
        if b"expect" in self.headers:
            return False
        length = self.headers.get(b"content-length")
        if length is None:
            return b"transfer-encoding" in self.headers
        digits = len(length)
        return digits > _DIGITS or (digits == _DIGITS and length.isdigit() and int(length) > KERNEL_BUFFERS)

    def first_line(self, name: bytes) -> str | None:
        """Return the first line of a header; None if it is absent."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def lines(self, name: bytes) -> list[str]:
        """Return every line of a header."""
        first = self.headers.get(name)
        if first is None:
            return []
        if len(self.headers) == len(self.header_lines):  # no header is repeated
            return [first.decode("latin-1")]
        return [value.decode("latin-1") for key, value in self.header_lines if key == name]


def make_context(scope: Any, app: AppState) -> RequestContext | None:
    """Make the context of an HTTP request; None for any other scope, such as a lifespan."""
    if scope["type"] != "http":
        return None
    lines, client = scope["headers"], scope.get("client")
    headers = dict(reversed(lines))  # of a repeated header the first line counts
    context = scope[_SCOPE_KEY] = RequestContext(
        app,
        read_request_id(headers.get(b"x-request-id", b"")),
        scope["method"],
        scope["path"],
        scope["raw_path"],
        scope["query_string"],
        lines,
        headers,
        client[0] if client else "",
    )
    return context


def context_of(scope: Any) -> RequestContext:
    """Return the context of a request."""
    context: RequestContext = scope[_SCOPE_KEY]
    return context


def answer_as_get(scope: Any) -> None:
    """Change a HEAD request to GET, so that Litestar calls the handler of GET."""
    scope["method"] = "GET"


def add_route(scope: Any) -> tuple[RequestContext, BaseRouteHandler, Mapping[str, str]]:
    """Store the matched route in the context. Return the context, the handler and the path parameters."""
    context = context_of(scope)
    context.route = scope["path_template"]
    return context, scope["route_handler"], scope["path_params"]


def read_request_id(sent: bytes) -> str:
    """Return the request id that the client sent, or a random one if it is absent or invalid."""
    return sent.decode() if sent and _REQUEST_ID.fullmatch(sent) else f"{getrandbits(128):032x}"
