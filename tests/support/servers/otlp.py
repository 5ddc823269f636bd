"""A receiver of traces, in a thread of the tests. Like a collector of OpenTelemetry, it speaks OTLP over HTTP."""

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATIENCE = 10  # seconds


@dataclass
class Receiver:
    """The spans that were received."""

    url: str = ""
    raw: bytearray = field(default_factory=bytearray)  # all received bodies
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)  # names of the services that sent spans

    def add_batch(self, body: bytes) -> None:
        """Add the spans of one request."""
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
            self.services.add(attributes["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def wait_for(self, name: str) -> list[Span]:
        """Wait for a span with this name, and return all that have it."""
        deadline = time.monotonic() + PATIENCE
        while not (found := [span for span in self.spans if span.name == name]):
            assert time.monotonic() < deadline, [span.name for span in self.spans]
            time.sleep(0.05)
        return found


def attributes(span: Span) -> dict[str, str | int]:
    """Return the attributes of a span."""
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


@contextmanager
def receiving(*, hang: bool = False) -> Iterator[Receiver]:
    """Receive on a local port until the block ends; with `hang`, read requests and never respond."""
    receiver, ended = Receiver(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if hang:
                ended.wait()
                return
            assert self.path == "/v1/traces"
            is_compressed = self.headers.get("content-encoding") == "gzip"
            receiver.add_batch(gzip.decompress(body) if is_compressed else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
