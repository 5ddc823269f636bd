"""Clients that request large responses and do not read them: queued bytes and time are bounded."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.abuse.conftest import default_environment
from tests.abuse.honest import honest_person
from tests.abuse.readers import (
    LARGE_LIST,
    RECEIVE_BUFFER,
    asking,
    count_statuses,
    make_hoarder,
    post,
    request_for,
)
from tests.abuse.remains import POOL_DESCRIPTORS
from tests.abuse.sockets import address_of
from tests.support.factories import someone
from tests.support.processes import descriptors, memory
from tests.support.servers.pgbouncer import pgbouncer
from tests.support.servers.service import Service, serving

pytestmark = pytest.mark.server

MEDIUM_LIST = "/api/me/tasks?limit=10"  # 49 KB for the person that `make_hoarder` makes
CUT = 45  # seconds: the server cuts a connection after 30 s without any bytes read


def get_uncompressed(service: Service, path: str, user: str = "") -> httpx.Response:
    headers = {"accept-encoding": "identity", **(service.headers(user) if user else {})}
    return httpx.get(f"{service.url}{path}", headers=headers, timeout=20)


def ask_until_answered(service: Service, path: str, user: str) -> int:
    """Repeat a GET until its status is 200, for at most `CUT` seconds; return the last status."""
    deadline = time.monotonic() + CUT
    while (
        status := get_uncompressed(service, path, user).status_code
    ) != 200 and time.monotonic() < deadline:
        time.sleep(0.5)
    return status


def ask_until_refused(service: Service, path: str, user: str) -> httpx.Response:
    """Repeat a GET until unread responses use up a limit, for at most 20 s; return the last response."""
    deadline = time.monotonic() + 20
    while True:
        answer = get_uncompressed(service, path, user)
        if "answers-not-taken" in answer.text or time.monotonic() > deadline:
            return answer
        time.sleep(0.5)


@pytest.fixture(scope="module", autouse=True)
def steady_reader(default_service: Service) -> "Iterator[Future[tuple[bytes, float]]]":
    """A person who reads a large response slowly during all tests; the result has its body and its seconds."""
    ann = make_hoarder(default_service)
    with asking(default_service, 1, LARGE_LIST, ann) as (reader,), ThreadPoolExecutor(1) as thread:
        yield thread.submit(read_steadily, reader, 25_000)


def read_steadily(reader: socket.socket, bytes_per_second: int) -> tuple[bytes, float]:
    """Read a response at this speed; return its body, and the seconds that it took."""
    taken, began = b"", time.monotonic()
    while chunk := reader.recv(4_096):
        taken += chunk
        head, _, body = taken.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) == length:
            return body, time.monotonic() - began
        time.sleep(max(0.0, len(taken) / bytes_per_second - (time.monotonic() - began)))
    raise AssertionError(f"the response ended after {len(taken)} bytes")


def test_sixty_large_unread_responses_of_one_person_delay_only_that_person(
    default_service: Service,
) -> None:
    hog = make_hoarder(default_service)
    get_uncompressed(default_service, LARGE_LIST, hog)
    open_before, held_before = descriptors(default_service), memory(default_service)

    with asking(default_service, 60, LARGE_LIST, hog) as readers, honest_person(default_service) as honest:
        answered = count_statuses(readers)
        time.sleep(3)
        held = memory(default_service) - held_before
        refused = get_uncompressed(default_service, LARGE_LIST, hog)
        small = get_uncompressed(default_service, "/api/me/tasks?limit=1", hog)
        batch = post(default_service, "/batch", {"operations": [{"op": "create", "title": "x"}]}, hog)
        created = post(default_service, "", {"title": "x"}, hog)
        after = ask_until_answered(default_service, LARGE_LIST, hog)

    assert answered == {200: 4, 429: 56}
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert refused.json()["type"] == "/problems/answers-not-taken"
    assert (small.status_code, created.status_code) == (200, 201)
    assert (batch.status_code, batch.json()["type"]) == (429, refused.json()["type"])
    assert held < 60  # MB; each of the 60 responses has 1 MB
    assert after == 200  # the kernel has cut the connections that read nothing
    assert (honest.share_answered, honest.worst < 3) == (1, True)
    assert descriptors(default_service) <= open_before + POOL_DESCRIPTORS


def test_responses_that_fit_into_the_queue_of_the_server_count_until_the_kernel_takes_them(
    default_service: Service,
) -> None:
    hog = make_hoarder(default_service)

    with asking(default_service, 40, "/api/me/tasks?limit=60", hog) as readers:  # 300 KB each
        answered = count_statuses(readers)

    assert answered.keys() == {200, 429}
    assert 12 <= answered[200] <= 16  # the limit of a person is 4 MB


def test_responses_of_50_kb_count_when_the_kernel_takes_no_more_bytes_of_the_connection(
    default_service: Service,
) -> None:
    hog = make_hoarder(default_service)
    held_before = memory(default_service)

    with (
        asking(default_service, 110, MEDIUM_LIST, hog) as readers,
        honest_person(default_service) as honest,
    ):
        for reader in readers:
            reader.sendall(request_for(default_service, MEDIUM_LIST, hog) * 7)  # the kernel takes about five
        refused = ask_until_refused(default_service, MEDIUM_LIST, hog)
        small = get_uncompressed(default_service, "/api/me/tasks?limit=1", hog)
        held = memory(default_service) - held_before
        answered = count_statuses(readers)

    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/answers-not-taken")
    assert small.status_code == 200
    assert answered[200] > 100  # the limit refuses few of the 110
    assert held < 30  # MB; the kernel leaves 16 MB of these responses in the service
    assert (honest.share_answered, honest.worst < 3) == (1, True)


def test_large_responses_of_all_people_have_a_limit_and_small_ones_are_sent_as_usual(
    default_service: Service,
) -> None:
    hogs = [make_hoarder(default_service) for _ in range(20)]
    held_before = memory(default_service)

    with ExitStack() as stack, honest_person(default_service) as honest:
        readers = [
            reader
            for hog in hogs
            for reader in stack.enter_context(asking(default_service, 4, LARGE_LIST, hog))
        ]
        answered = count_statuses(readers)
        time.sleep(2)
        held = memory(default_service) - held_before

    assert answered.keys() == {200, 503}
    assert 60 <= answered[200] <= 75  # the limit of all people is 64 MB
    assert held < 200  # MB
    assert (honest.share_answered, honest.worst < 3) == (1, True)


def test_an_unread_response_to_a_batch_delays_no_other_large_body_of_the_person(
    default_service: Service,
) -> None:
    hog = someone("hog")
    batch = {"operations": [{"op": "create", "title": "x", "description": "y" * 9_000}] * 100}
    body = json.dumps(batch).encode()
    head = (
        "POST /api/me/tasks/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {default_service.token(hog)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        reader.settimeout(20)
        reader.connect(address_of(default_service))
        reader.sendall(head.encode() + body)
        first = count_statuses([reader])
        second = post(default_service, "/batch", batch, hog)

    assert first == {200: 1}
    assert second.status_code == 200


BUNDLE = "/docs/swagger-ui-bundle.js"  # 1.4 MB


def test_unread_documentation_without_a_token_uses_up_the_limit_of_that_address_only(
    default_service: Service,
) -> None:
    with asking(default_service, 40, BUNDLE, address="127.0.0.5") as readers:
        answered = count_statuses(readers)
        others = get_uncompressed(default_service, BUNDLE)

    assert answered.keys() == {200, 429}
    assert answered[200] < 16  # the limit of an address is 4 MB
    assert others.status_code == 200


def test_unread_documentation_from_many_addresses_delays_only_requests_without_a_token(
    default_service: Service,
) -> None:
    ann = make_hoarder(default_service)
    held_before = memory(default_service)

    with ExitStack() as stack, honest_person(default_service) as honest:
        readers = [
            reader
            for number in range(5, 15)
            for reader in stack.enter_context(
                asking(default_service, 10, BUNDLE, address=f"127.0.0.{number}")
            )
        ]
        answered = count_statuses(readers)
        refused = get_uncompressed(default_service, BUNDLE)
        mine = get_uncompressed(default_service, LARGE_LIST, ann)
        held = memory(default_service) - held_before

    assert answered.keys() == {200, 503}
    assert answered[200] < 60  # the limit of all requests without a token is 16 MB
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/too-busy")
    assert mine.status_code == 200
    assert held < 60  # MB
    assert (honest.share_answered, honest.worst < 3) == (1, True)


def test_unread_responses_hold_no_connection_of_a_pooler(
    database_url: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        pgbouncer(database_url, tmp_path, server_connections=1) as through,
        serving(default_environment(through), tmp_path_factory.mktemp("service")) as service,
    ):
        hog = make_hoarder(service)
        with asking(service, 40, LARGE_LIST, hog) as readers, honest_person(service) as honest:
            answered = count_statuses(readers)
            time.sleep(2)

    assert answered == {200: 4, 429: 36}
    assert (honest.share_answered, honest.worst < 3) == (1, True)


def test_a_slow_reader_gets_the_whole_response(steady_reader: "Future[tuple[bytes, float]]") -> None:
    body, seconds = steady_reader.result()

    assert seconds > 33  # it took longer than a reader may pause
    assert len(json.loads(body)) == 200
