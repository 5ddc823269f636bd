"""Telemetry of each request: a log line, metrics, a span. Never the path, which identifies a person."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Final

from litestar.routes import BaseRoute, HTTPRoute

from app import logs
from app.api.context import RequestContext

if TYPE_CHECKING:  # the process imports these only where metrics or tracing is on
    from app.metrics import Metrics
    from app.tracing import Tracing

_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)
"""W3C Trace Context §3.2. Versions after 00 may have more fields."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "_OTHER"  # OpenTelemetry's name for unknown methods, which clients can invent without end


class Telemetry:
    """Records the start and the end of each request. The outermost middleware calls it."""

    def __init__(self, metrics: "Metrics | None" = None, tracing: "Tracing | None" = None) -> None:
        self._in_flight = 0
        self._metrics = metrics
        self._tracing = tracing

    def start_failures_at_zero(self, routes: Iterable[BaseRoute]) -> None:
        """Start the series of failures of these routes at 0."""
        if self._metrics is not None:
            self._metrics.start_failures_at_zero(
                (route.path_format, method)
                for route in routes
                if isinstance(route, HTTPRoute)
                for method in {*route.methods, *(["HEAD"] if "GET" in route.methods else [])} - {"OPTIONS"}
            )

    @asynccontextmanager
    async def run(self, read: Callable[[], Mapping[str, float]]) -> AsyncIterator[None]:
        """Publish requests in flight, and the gauges that `read` returns, once a second while the block runs.

        After the block, send the remaining spans and stop tracing.
        """

        def read_gauges() -> dict[str, float]:
            return {"taskward_http_requests_in_flight": self._in_flight, **read()}

        copying = (
            None if self._metrics is None else asyncio.create_task(self._metrics.copy_for_ever(read_gauges))
        )
        try:
            yield
        finally:
            if copying is not None:
                copying.cancel()
            if self._tracing is not None:
                self._tracing.close()

    def start(self, context: RequestContext) -> float:
        """Record the start of a request. Return its time, for `end`."""
        began = perf_counter()
        self._in_flight += 1
        if self._tracing is not None:
            context.span, context.trace_id = self._tracing.start(context.headers)
        elif (sent := context.headers.get(b"traceparent")) is not None:
            context.trace_id = trace_id_of(sent)
        return began

    def end(self, context: RequestContext, status: int, began: float) -> None:
        """Record the end of a request; status 0: it ended without a response."""
        self._in_flight -= 1
        seconds = perf_counter() - began
        route, problem = context.route, context.problem
        method = context.method if context.method in METHODS else OTHER
        logs.log_request(
            context.request_id, context.trace_id, context.user, method, route, status, problem, seconds * 1000
        )
        if self._metrics is not None:
            if context.stream_began is not None:  # an event stream lasts for minutes, which is not slow
                seconds = context.stream_began - began
            self._metrics.record(route, method, status, seconds)
            if problem is not None:
                self._metrics.count_problem(problem)
        if self._tracing is not None:
            self._tracing.end(context.span, method, route, status)


def trace_id_of(traceparent: bytes) -> str | None:
    """Return the trace id of a `traceparent`; None if it is invalid."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[2] and traceparent.startswith(b"00")):
        return None
    return match[1].decode()
