"""Traces by OpenTelemetry: a span for each request, and one for each statement within it.

Everything is set by the usual variables, which its SDK reads by itself. Imported only where
OTEL_EXPORTER_OTLP_ENDPOINT says where spans go. Of people nothing is told: no id, no path, no value of a
statement. `traceparent` goes no further than here: as a comment in SQL it would make each statement another.
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

Begun = tuple[Span, Token[Context]]

SERVER_ERROR: Final = 500
CLOSE_TIMEOUT: Final = 2.0  # seconds for sending what is left; whoever receives it may be gone
W3C: Final = TraceContextTextMapPropagator()


class Tracing:
    """The spans of this process."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Begin to send spans, as the variables say; those of the process win."""
        for name, value in variables.items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("OTEL_SERVICE_NAME", "taskward")
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("taskward")

    def begun(self, headers: dict[bytes, bytes]) -> tuple[Begun, str]:
        """Begin a request's span, below the one that `traceparent` names."""
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        above = W3C.extract(carrier)
        span = self._tracer.start_span("HTTP", above, SpanKind.SERVER)
        token = context.attach(trace.set_span_in_context(span, above))
        return (span, token), f"{span.get_span_context().trace_id:032x}"

    def ended(self, begun: Begun, method: str, route: str | None, status: int) -> None:
        """End it, with the names of OpenTelemetry's conventions for HTTP, but without a path."""
        span, token = begun
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
        """Draw a statement, without its values, and an error without its message, which may quote them."""
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
        """Send what is left, as far as that does not take long."""
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_TIMEOUT)
