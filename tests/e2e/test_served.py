"""Behaviour of `app serve` that only a real socket shows."""

import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from dev.postgres import PostgresServer, free_port
from tests.conftest import environment_for
from tests.support.factories import someone
from tests.support.locks import locked, until_waiting
from tests.support.people import SECRET
from tests.support.servers.service import Service, app, serving

pytestmark = pytest.mark.server


def first_part_of_response(service: Service, raw: bytes, seconds: float = 2) -> bytes:
    """Send bytes, and return the first part of the response; nothing if none comes within `seconds`."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(raw)
        connection.settimeout(seconds)
        try:
            return connection.recv(65536)
        except TimeoutError:
            return b""


def test_the_main_routes_work_over_a_real_socket(service: Service) -> None:
    ann, bob = someone("ann"), someone("bob")
    with httpx.Client(base_url=service.url, headers=service.headers(ann)) as client:
        created = client.post(f"/api/{ann}/tasks", json={"title": "x"})
        location = created.headers["location"]

        assert created.status_code == 201
        assert client.get(location).json() == created.json()
        assert client.head(location).headers["content-length"] == str(len(created.content))
        assert client.get("/api/me/tasks").json() == [created.json()]
        assert client.put(location, json={"title": "y"}).json()["title"] == "y"
        assert client.patch(f"{location}/complete").json()["completed"] is True
        assert client.get(location, headers=service.headers(bob)).status_code == 403
        assert client.delete(location).status_code == 204
        assert client.get(location).status_code == 404


def test_a_user_id_with_unusual_characters_works_over_a_real_socket(service: Service) -> None:
    strange = someone("ä/ %?")

    response = httpx.post(
        f"{service.url}/api/me/tasks", json={"title": "x"}, headers=service.headers(strange)
    )

    assert response.json()["user_id"] == strange


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /api/%ff/tasks HTTP/1.1\r\nHost: x\r\n\r\n", b"401"),
        (b"GET /api/%zz/tasks HTTP/1.1\r\nHost: x\r\n\r\n", b"401"),
        (b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"\x00\x01\x02\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 17_000 + b"\r\n\r\n", b"431"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 12_000 + b"\r\n\r\n", b"200"),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else value,
)
def test_malformed_requests_and_those_with_large_headers_never_get_500(
    service: Service, raw: bytes, status: bytes
) -> None:
    assert first_part_of_response(service, raw).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_disconnects_during_its_body_has_no_effect_on_others(service: Service) -> None:
    head = (
        f"POST /api/me/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: {service.headers()['authorization']}\r\n"
    )
    unfinished = f"{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode()
    first_part_of_response(service, unfinished, seconds=0.1)
    time.sleep(0.3)  # until the service has noticed the end of the connection

    assert httpx.get(f"{service.url}/health").status_code == 200
    assert '"status": 500' not in service.log.read_text()


def test_the_log_has_each_request_but_no_token_title_or_secret(service: Service) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = service.headers("logged") | {
        "x-request-id": "find-me-in-the-log",
        "traceparent": f"00-{trace}-b7ad6b7169203331-01",
    }

    httpx.post(f"{service.url}/api/me/tasks", json={"title": "a very private title"}, headers=headers)
    httpx.get(f"{service.url}/api/me/tasks/none", headers=headers)
    httpx.get(f"{service.url}/api/me/tasks", headers={"authorization": "Bearer very.private.token"})

    text = service.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    mine = [line for line in lines if line.get("request_id") == "find-me-in-the-log"]
    assert [(line["method"], line["route"], line["status"], line["problem"]) for line in mine] == [
        ("POST", "/api/{user_id}/tasks", 201, None),
        ("GET", "/api/{user_id}/tasks/{task_id}", 400, "invalid-request"),
    ]
    assert {line["trace_id"] for line in mine} == {trace}
    assert len({line["user"] for line in mine}) == 1
    assert mine[0]["milliseconds"] > 0
    for private in ("private", headers["authorization"][7:], SECRET.decode(), "logged"):
        assert private not in text


def eventually_logged(service: Service, request_id: str) -> dict[str, Any]:
    """Wait for the log line of a request and return it. Lines are written up to 20 ms after the response."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for line in service.log.read_text().splitlines():
            if request_id in line:
                event: dict[str, Any] = json.loads(line)
                return event
        time.sleep(0.02)
    raise AssertionError(f"no line of {request_id}")


def test_an_unknown_method_is_logged_as_other(service: Service) -> None:
    method = "BREW" * 3_750  # 15,000 letters, nearly all that a head may have

    httpx.request(method, f"{service.url}/health", headers={"x-request-id": "made-up-method"})

    assert eventually_logged(service, "made-up-method")["method"] == "_OTHER"
    assert "BREW" not in service.log.read_text()


def test_both_workers_of_a_service_log_the_same_hash_of_a_person(database_url: str, tmp_path: Path) -> None:
    with serving(environment_for(database_url, WEB_CONCURRENCY="2", RATE_LIMIT="off"), tmp_path) as service:
        for _ in range(30):  # each on its own connection, so both workers get some
            httpx.get(f"{service.url}/api/me/tasks", headers=service.headers("ann"))
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]

    assert len({line["user"] for line in lines if line.get("route") == "/api/{user_id}/tasks"}) == 1


def test_given_no_database_yet_then_the_service_starts_with_a_warning_and_serves_once_it_is_there(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = PostgresServer(tmp_path_factory.mktemp("late"), port=free_port(), durable=False)
    server.start()
    folder = tmp_path_factory.mktemp("service")
    url = server.url
    assert app("migrate", env={"DATABASE_URL": url}, cwd=folder).returncode == 0
    server.stop()

    with (
        serving(environment_for(url), folder) as service,
        httpx.Client(base_url=service.url, timeout=10) as client,
    ):
        ready = client.get("/health/ready")
        listed = client.get("/api/me/tasks", headers=service.headers())
        assert (ready.status_code, ready.json()["database"]) == (503, "unavailable")
        assert (listed.status_code, listed.headers["retry-after"]) == (503, "1")
        assert client.get("/api/me/tasks").status_code == 401
        log = service.log.read_text()
        assert "cannot be reached yet" in log
        assert "part unavailable" in log
        assert "ConnectionRefusedError" in log
        assert "Connection" not in ready.text

        server.start()

        assert client.get("/health/ready").status_code == 200
        assert client.get("/api/me/tasks", headers=service.headers()).json() == []
        assert service.log.read_text().count("part available again") == 1
    server.remove()


def test_given_no_keys_then_readiness_names_the_part_and_only_the_log_has_the_reason(
    database_url: str, tmp_path: Path
) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}/jwks"

    with serving(environment_for(database_url, JWKS_URL=unreachable), tmp_path) as service:
        time.sleep(1)  # the first fetch fails
        answers = [httpx.get(f"{service.url}/health/ready") for _ in range(3)]
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]

    assert {answer.status_code for answer in answers} == {503}
    assert answers[-1].json()["keys"] == "unavailable"
    assert {name for name, state in answers[-1].json().items() if state == "ok"} == {"database", "process"}
    reasons = [line["reason"] for line in lines if line["event"] == "part unavailable"]
    assert len(reasons) == 1
    assert unreachable in reasons[0]


def test_a_stopped_service_finishes_its_running_requests_and_ends_with_status_0(
    database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        name = database_url.rpartition("/")[2]
        answers: list[int] = []
        httpx.get(f"{service.url}/api/me/tasks", headers=service.headers())

        def ask() -> None:
            answers.append(
                httpx.post(
                    f"{service.url}/api/me/tasks", json={"title": "x"}, headers=service.headers(), timeout=10
                ).status_code
            )

        asking = threading.Thread(target=ask)
        with locked(postgres, name):
            asking.start()
            until_waiting(postgres, name)
            service.process.send_signal(signal.SIGTERM)
            time.sleep(1)  # until all has stopped except this request
        asking.join()

        assert answers == [201]
        assert service.process.wait(10) == 0
