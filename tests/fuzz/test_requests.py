"""Valid and almost valid requests never get 500. Errors are problem documents, and no response shows another person's task."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from app.api.middleware.outermost import Edge
from app.composition import compose
from app.infra.auth.jwt_verifier import issue_token
from app.settings import Settings
from tests.conftest import environment_for
from tests.fuzz.effort import effort
from tests.fuzz.near import changed
from tests.fuzz.requests import RandomRequest, fill_in, requests
from tests.support.factories import someone
from tests.support.in_process import client_of
from tests.support.people import TRUST, Person
from tests.support.requests import Lines
from tests.support.servers.service import Service

pytestmark = pytest.mark.server

SECRET_TITLE = "somebody else's, which no answer may show"
PROBLEM = b"application/problem+json"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Precedes the response if the client asked for it (RFC 9110 §10.1.1)."""


@dataclass
class Site:
    """The application, with a task of one person and a task of another person."""

    app: Edge
    words: dict[str, str]  # the values for `fill_in`
    other: Person
    others_task: dict[str, Any]

    async def ask(self, random_request: RandomRequest) -> tuple[int, Lines, bytes]:
        """Call the application as a server does after it has parsed the head of the request."""
        path, _, query = fill_in(random_request.target, **self.words).partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000),
            "root_path": "",
            "method": random_request.method,
            "path": unquote(path.decode("latin-1").encode(), errors="replace"),
            "raw_path": path,
            "query_string": query,
            "headers": [(name, fill_in(value, **self.words)) for name, value in random_request.headers],
        }
        messages = [
            {"type": "http.request", "body": fill_in(random_request.body, **self.words), "more_body": False}
        ]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], [*sent[0]["headers"]], body


@pytest.fixture(scope="module")
async def site(database_url: str) -> AsyncIterator[Site]:
    """The application. The person who sends the requests, and another person, have a task each."""
    app = compose(Settings.from_env(environment_for(database_url)))
    async with client_of(app) as client:
        me, other = Person(client, someone("fuzz")), Person(client, someone("other"))
        mine, others = await me.create(), await other.create(SECRET_TITLE)
        token = issue_token(TRUST, user_id=me.user_id, lifetime=100_000)
        yield Site(app, {"token": token, "mine": mine["id"], "others": others["id"]}, other, others)


def check_response(method: str, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
    """Check what is promised of every response of the application."""
    assert 200 <= status < 500
    assert SECRET_TITLE.encode() not in body
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert (b"www-authenticate" in headers) == (status == 401)
    assert status != 405 or headers[b"allow"]
    if status >= 400:
        assert headers[b"content-type"] == PROBLEM
    if status >= 400 and method != "HEAD":
        problem = json.loads(body)
        assert {"type", "title", "status", "detail", "instance", "request_id"} <= problem.keys()
        assert (problem["status"], problem["request_id"].encode()) == (status, headers[b"x-request-id"])
        if status == 400 and not problem.get("errors"):  # only a wrong Host has no list of errors
            assert "Host" in problem["detail"]
    elif headers.get(b"content-type") == b"application/json" and method != "HEAD":
        json.loads(body)


@given(sent=requests())
@effort(350)
async def test_a_nearly_valid_request_succeeds_or_is_refused_with_a_problem(
    site: Site, sent: RandomRequest
) -> None:
    status, headers, body = await site.ask(sent)

    event(str(int(status)))
    check_response(sent.method, status, dict(headers), body)


async def test_after_the_nearly_valid_requests_the_task_of_the_other_person_is_unchanged(site: Site) -> None:
    assert (await site.other.ask("GET")).json() == [site.others_task]


def answer_of(service: Service, raw: bytes) -> bytes:
    """Send bytes over a new socket, and return what the server sends until it waits for more."""
    address = urlsplit(service.url)
    answer = b""
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.settimeout(0.2)
        with suppress(OSError):  # the server may wait for more, or have closed the connection
            connection.sendall(raw)
            while part := connection.recv(65536):
                answer += part
    return answer


@given(sent=requests(), data=st.data())
@effort(60)
def test_the_bytes_of_a_nearly_valid_request_never_get_a_server_error(
    service: Service, sent: RandomRequest, data: st.DataObject
) -> None:
    sent.headers.append((b"connection", b"close"))
    words = {"token": service.token("fuzz"), "mine": "x", "others": "y"}
    raw = fill_in(sent.raw(), **words)
    raw = data.draw(
        st.just(raw) | changed(raw, st.sampled_from([b"\r\n", b"\n", b"\0", b":", b" ", b"\xff"]))
    )

    answer = answer_of(service, raw)

    answer = answer.removeprefix(CONTINUE)
    if answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        status_line, *lines = head.split(b"\r\n")
        status = int(status_line.split(b" ")[1])
        fields = (line.partition(b": ") for line in lines)
        headers = {name.lower(): value for name, _, value in fields}
        if b"x-request-id" in headers:  # without it, the HTTP server refused the request itself
            body = body[: int(headers.get(b"content-length", b"0"))]  # a second response may follow
            check_response("HEAD" if not body else sent.method, status, headers, body)
        else:
            assert 400 <= status < 500


def test_after_the_nearly_valid_requests_the_log_has_no_unexpected_error(service: Service) -> None:
    assert httpx.get(f"{service.url}/health").status_code == 200
    log = service.log.read_text()
    assert '"status": 500' not in log
    assert "unexpected error" not in log
    assert "Traceback" not in log
