"""OpenTelemetry traces: a span for each request, and a span for each of its statements.

The SDK itself reads the OTEL_* environment variables. Import this only where an endpoint is set, as by
OTEL_EXPORTER_OTLP_ENDPOINT. Spans contain no personal data: no id, no path, no value of a statement.
`traceparent` is not passed on to the database: with a different SQL comment in each, no statement could be
prepared once and used again.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token
from threading import Thread
from typing import Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Started = tuple[Span, Token[Context]]

SERVER_ERROR: Final = 500
CLOSE_TIMEOUT: Final = 2.0  # seconds for sending the last spans; the collector may be gone
W3C: Final = TraceContextTextMapPropagator()


class Tracing:
    """The spans of this process."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Start to export spans, as the OTEL_* variables say. Those of the process take precedence."""
        for name, value in variables.items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("OTEL_SERVICE_NAME", "taskward")
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("taskward")

    def start(self, headers: Mapping[bytes, bytes]) -> tuple[Started, str]:
        """Start a request's span, as a child of the one in `traceparent`.

        Return the span, and the trace id in hex.
        """
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        parent = W3C.extract(carrier)
        span = self._tracer.start_span("HTTP", parent, SpanKind.SERVER)
        token = context.attach(trace.set_span_in_context(span, parent))
        return (span, token), f"{span.get_span_context().trace_id:032x}"

    def end(self, started: Started, method: str, route: str | None, status: int) -> None:
        """End the span, with the attributes of OpenTelemetry's HTTP conventions, but without a path."""
        span, token = started
        context.detach(token)
        if span.is_recording():
            span.set_attribute("http.request.method", method)
            span.update_name(f"{method} {route}" if route is not None else method)
            if route is not None:
                span.set_attribute("http.route", route)
            if status:
                span.set_attribute("http.response.status_code", status)
            if status >= SERVER_ERROR:
                span.set_attribute("error.type", str(status))
                span.set_status(Status(StatusCode.ERROR))
        span.end()

    @contextmanager
    def statement(self, sql: str) -> Iterator[None]:
        """Record a span for a statement, without its values.

        An error has no message, because a message may quote values.
        """
        operation = sql.split(None, 1)[0]
        span = self._tracer.start_span(operation, kind=SpanKind.CLIENT)
        if span.is_recording():
            span.set_attributes(
                {"db.system.name": "postgresql", "db.operation.name": operation, "db.query.text": sql}
            )
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Send the last spans, within CLOSE_TIMEOUT."""
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_TIMEOUT)
