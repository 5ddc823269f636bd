"""Responses before the end of a large body: the client sees the response, and the service reads only some of the rest."""

import asyncio
import json
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from app.api.backpressure import READ_ON_FOR, READ_ON_MAX
from tests.abuse.sockets import address_of
from tests.conftest import environment_for
from tests.support.factories import someone
from tests.support.servers.service import Service, serving

pytestmark = pytest.mark.server

TRIES = 30  # requests of each client, since a race would lose only some responses
BODY = b'{"title": "' + b"x" * 5_000_000 + b'"}'
PIECES = [BODY[begin : begin + 65536] for begin in range(0, len(BODY), 65536)]
FETCH = """
const [url, token, tries] = process.argv.slice(1);
const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
const body = JSON.stringify({ title: "x".repeat(5_000_000) });
const seen = [];
for (let number = 0; number < Number(tries); number += 1)
  seen.push(await fetch(url, { method: "POST", headers, body }).then((r) => r.status, (e) => e.cause?.code));
console.log(JSON.stringify(seen));
"""


def head(
    service: Service,
    *more: str,
    length: int | None = 100_000_000,  # None: in chunks
    request: str = "POST /api/me/tasks",
    token: str = "",
    media_type: str = "application/json",
) -> bytes:
    """Return the head of a request. `length` is what `Content-Length` says."""
    lines = (
        f"{request} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {token or service.token('ann')}",
        f"Content-Type: {media_type}",
        f"Content-Length: {length}" if length else "Transfer-Encoding: chunked",
        *more,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


@pytest.fixture(scope="module")
def strict_service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits one second for a body, and accepts one request of each person an hour."""
    env = environment_for(database_url, BODY_TIMEOUT="1", RATE_LIMIT_PERSON="1/3600")
    with serving(env, tmp_path_factory.mktemp("strict")) as running_service:
        yield running_service


def status_seen(service: Service, request_head: bytes, body: bytes = BODY) -> int:
    """Send a head, wait for the response, send the body, and return the status that the client then reads."""
    with socket.create_connection(address_of(service), timeout=20) as sender:
        sender.sendall(request_head)
        assert sender.recv(1, socket.MSG_PEEK)
        sender.sendall(body)
        return int(sender.recv(12).split()[1])


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (200, {"request": "GET /api/me/tasks"}),
        (204, {"request": "OPTIONS /api/me/tasks"}),
        (400, {"request": "GET /api/me/tasks?limit=0"}),
        (401, {"token": "x.y.z"}),
        (403, {"request": "POST /api/somebody-else/tasks"}),
        (404, {"request": "POST /nowhere"}),
        (405, {"request": "PUT /api/me/tasks"}),
        (413, {}),
        (415, {"media_type": "text/plain"}),
    ],
)
def test_a_client_that_keeps_sending_sees_a_response_that_was_sent_before_the_end_of_its_body(
    service: Service, status: int, more: dict[str, str]
) -> None:
    assert status_seen(service, head(service, length=len(BODY), **more)) == status


def test_a_client_that_keeps_sending_sees_408(strict_service: Service) -> None:
    chunked_head = head(strict_service, length=None, token=strict_service.token(someone()))
    chunked_body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

    assert status_seen(strict_service, chunked_head, chunked_body) == 408


def test_a_client_that_keeps_sending_sees_429(strict_service: Service) -> None:
    token = strict_service.token(someone())
    first = httpx.get(f"{strict_service.url}/api/me/tasks", headers={"authorization": f"Bearer {token}"})

    assert first.status_code == 200
    assert status_seen(strict_service, head(strict_service, length=len(BODY), token=token)) == 429


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_httpx_always_sees_the_413(service: Service, *, chunked: bool) -> None:
    headers = {**service.headers(), "content-type": "application/json"}
    seen = Counter[object]()

    with httpx.Client(base_url=service.url, headers=headers) as client:
        for _ in range(TRIES):
            try:
                answer = client.post("/api/me/tasks", content=iter(PIECES) if chunked else BODY)
                seen[answer.status_code] += 1
            except httpx.HTTPError as error:
                seen[repr(error)] += 1

    assert seen == {413: TRIES}


@pytest.mark.parametrize(("token", "status"), [("valid", 413), ("forged", 401)])
async def test_node_always_sees_the_status_of_the_refusal(service: Service, token: str, status: int) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    token = service.token("ann") if token == "valid" else "x.y.z"

    process = await asyncio.create_subprocess_exec(
        *(node, "--input-type=module", "-e", FETCH, f"{service.url}/api/me/tasks", token, str(TRIES)),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()

    assert Counter(json.loads(printed)) == {status: TRIES}


def test_a_refused_client_that_keeps_sending_slowly_is_disconnected_after_a_few_seconds(
    service: Service,
) -> None:
    with socket.create_connection(address_of(service), timeout=20) as sender:
        sender.sendall(head(service))
        began = time.monotonic()
        answer = sender.recv(100)
        with suppress(ConnectionError):
            while time.monotonic() < began + 20:
                sender.sendall(b" " * 1000)
                time.sleep(0.1)
        lasted = time.monotonic() - began

    assert answer.startswith(b"HTTP/1.1 413")
    assert READ_ON_FOR - 1 < lasted < READ_ON_FOR + 5


def test_a_refused_client_that_keeps_sending_is_disconnected_after_a_few_megabytes(service: Service) -> None:
    sent = 0

    with socket.create_connection(address_of(service), timeout=20) as sender:
        sender.sendall(head(service))
        with suppress(ConnectionError):
            while sent < 100_000_000:
                sent += sender.send(b" " * 65536)

    assert READ_ON_MAX < sent < READ_ON_MAX + 20_000_000  # the kernel takes some more on both sides


@pytest.mark.parametrize(
    ("coding", "status"),
    [("chunked", 201), ("Chunked", 201), ("gzip, chunked", 400), ("identity, chunked", 400)],
)
def test_a_transfer_coding_other_than_chunked_is_refused(service: Service, coding: str, status: int) -> None:
    request_head = head(service, length=None).replace(b": chunked", f": {coding}".encode())

    with socket.create_connection(address_of(service), timeout=20) as sender:
        sender.sendall(request_head + b'e\r\n{"title": "x"}\r\n0\r\n\r\n')
        seen = int(sender.recv(12).split()[1])

    assert seen == status


def test_a_client_with_expect_100_continue_gets_the_refusal_and_the_service_waits_for_no_body(
    service: Service,
) -> None:
    with socket.create_connection(address_of(service), timeout=20) as sender:
        began = time.monotonic()
        sender.sendall(head(service, "Expect: 100-continue", length=5_000_000))
        response = b""
        while part := sender.recv(65536):
            response += part
        lasted = time.monotonic() - began

    assert response.startswith(b"HTTP/1.1 413")
    assert lasted < READ_ON_FOR - 1


async def test_a_completely_read_large_body_gets_its_response_at_once(service: Service) -> None:
    large = {"operations": [{"op": "create", "title": "x", "description": "y" * 200_000}]}

    async with httpx.AsyncClient(base_url=service.url, headers=service.headers()) as client:
        began = time.monotonic()
        refused = await client.post("/api/me/tasks/batch", json=large)
        again = await client.post("/api/me/tasks/batch", json=large)
        lasted = time.monotonic() - began

    assert (refused.status_code, again.status_code) == (400, 400)
    assert lasted < READ_ON_FOR - 1
