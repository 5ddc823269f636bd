"""Traces of a real service, received over OTLP.

Each of these faults, put into the code on purpose, made a test fail: the caller's `traceparent` is ignored; a
statement's span begins outside that of the request; the message of an error is recorded; OpenTelemetry is imported
without an endpoint; the last batch is not sent.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.api.middleware.telemetry import trace_id_of
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.factories import someone
from tests.support.servers.otlp import Receiver, attributes, receiving
from tests.support.servers.service import BARE_ENVIRONMENT, Service, app, serving

pytestmark = pytest.mark.server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
READ = "GET /api/{user_id}/tasks/{task_id}"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def traced(
    database_url: str, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service that sends its traces ten times a second."""
    otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with serving(environment_for(database_url, **otel), tmp_path_factory.mktemp("traced")) as service:
        yield service


def children_of(parent: Span, receiver: Receiver) -> list[Span]:
    """Return the child spans of a span. They end before it, so the receiver has them already."""
    return [span for span in receiver.spans if span.parent_span_id == parent.span_id]


def test_the_spans_of_the_caller_the_request_and_its_statement_are_nested_in_this_order(
    traced: Service, receiver: Receiver
) -> None:
    headers = traced.headers(someone()) | {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    created = httpx.post(f"{traced.url}/api/me/tasks", json={"title": "x"}, headers=headers)
    httpx.get(f"{traced.url}{created.headers['location']}", headers=headers | {"x-request-id": "traced"})

    span = receiver.wait_for(READ)[0]

    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.kind == Span.SPAN_KIND_SERVER
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/api/{user_id}/tasks/{task_id}",
        "http.response.status_code": 200,
    }
    statement = children_of(span, receiver)[0]
    assert attributes(statement)["db.system.name"] == "postgresql"
    assert "own_tasks" in str(attributes(statement)["db.query.text"])
    assert statement.kind == Span.SPAN_KIND_CLIENT
    assert receiver.services == {"taskward"}
    line = next(line for line in traced.log.read_text().splitlines() if '"request_id": "traced"' in line)
    assert json.loads(line)["trace_id"] == TRACE


def test_statements_of_a_transaction_are_child_spans_of_the_request(
    traced: Service, receiver: Receiver, database_url: str, postgres: PostgresServer
) -> None:
    ann = someone("ann")
    headers = traced.headers(ann)
    locations = [
        httpx.post(f"{traced.url}/api/me/tasks", json={"title": "x"}, headers=headers).headers["location"]
        for _ in range(3)
    ]
    name = database_url.rpartition("/")[2]
    postgres.query(f"UPDATE tasks SET position = 'V' WHERE user_id = '{ann}'", name)
    moved = httpx.post(
        f"{traced.url}{locations[2]}/move",
        json={"before": locations[1].rpartition("/")[2]},
        headers=headers | {"traceparent": f"00-{'c' * 32}-{PARENT}-01"},
    )
    assert moved.status_code == 200, moved.text

    spans = receiver.wait_for("POST /api/{user_id}/tasks/{task_id}/move")

    of_move = next(span for span in spans if span.trace_id.hex() == "c" * 32)
    # The positions are equal. So after a first read, a transaction locks the owner, reads again, reads the nearest
    # tasks before and after, writes new positions, and reads the moved task.
    assert len(children_of(of_move, receiver)) == 7


def test_a_trace_contains_no_id_title_or_token(
    traced: Service, receiver: Receiver, database_url: str, postgres: PostgresServer
) -> None:
    ann = someone("ann")
    headers = traced.headers(ann)
    created = httpx.post(f"{traced.url}/api/{ann}/tasks", json={"title": "very private"}, headers=headers)
    name = database_url.rpartition("/")[2]
    postgres.query(
        "ALTER TABLE tasks ADD CONSTRAINT no_secrets CHECK (title <> 'very private 2') NOT VALID", name
    )
    try:  # PostgreSQL's message quotes the whole row
        failed = httpx.post(
            f"{traced.url}/api/{ann}/tasks", json={"title": "very private 2"}, headers=headers
        )
    finally:
        postgres.query("ALTER TABLE tasks DROP CONSTRAINT no_secrets", name)
    httpx.delete(f"{traced.url}{created.headers['location']}", headers=headers)

    receiver.wait_for("DELETE /api/{user_id}/tasks/{task_id}")

    assert failed.status_code == 500
    span = next(span for span in receiver.spans if attributes(span).get("http.response.status_code") == 500)
    assert [attributes(child)["error.type"] for child in children_of(span, receiver)] == [
        "CheckViolationError"
    ]
    sent = bytes(receiver.raw)
    for private in (ann, "very private", headers["authorization"][7:], created.json()["id"]):
        assert private.encode() not in sent


def test_the_last_spans_are_sent_at_shutdown_and_a_receiver_that_hangs_does_not_delay_it(
    database_url: str, tmp_path: Path
) -> None:
    for hang in (False, True):
        with receiving(hang=hang) as receiver:
            env = environment_for(database_url, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
            with serving(env, tmp_path) as service:
                response = httpx.get(f"{service.url}/api/me/tasks", headers=service.headers())
                began = time.monotonic()
                service.process.send_signal(signal.SIGTERM)

                assert service.process.wait(10) == 0
                assert response.status_code == 200
                assert time.monotonic() - began < 5
            if not hang:
                assert receiver.wait_for("GET /api/{user_id}/tasks")


def test_otel_traces_sampler_is_used(database_url: str, tmp_path: Path) -> None:
    with receiving() as receiver:
        more = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_TRACES_SAMPLER": "always_off"}
        with serving(environment_for(database_url, **more), tmp_path) as service:
            httpx.get(f"{service.url}/api/me/tasks", headers=service.headers())

    assert receiver.spans == []


@pytest.mark.parametrize(
    ("env", "imported"),
    [
        ({}, "False"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, "False"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "True"),
    ],
)
def test_opentelemetry_is_imported_only_with_an_endpoint(
    env: dict[str, str], imported: str, tmp_path: Path
) -> None:
    code = "import sys, app.main; print(*(name in sys.modules for name in ('opentelemetry.sdk', 'prometheus_client')))"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=BARE_ENVIRONMENT | environment_for("postgresql://a@127.0.0.1:1/x") | env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [imported, "False"]


def test_an_unsupported_otlp_protocol_is_reported(database_url: str, tmp_path: Path) -> None:
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

    ended = app("serve", env=environment_for(database_url, **more), cwd=tmp_path)

    assert "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'" in ended.stderr


@pytest.mark.parametrize(
    ("sent", "trace"),
    [
        (f"00-{TRACE}-{PARENT}-01", TRACE),
        (f"01-{TRACE}-{PARENT}-01", TRACE),
        (f"01-{TRACE}-{PARENT}-01-more", TRACE),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{TRACE}-{PARENT}", None),
        (f'00-{TRACE}-{PARENT}-01", "user": "x', None),
        ("", None),
    ],
)
def test_only_a_valid_traceparent_sets_the_trace_id(sent: str, trace: str | None) -> None:
    assert trace_id_of(sent.encode()) == trace
