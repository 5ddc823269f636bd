"""Floods and slow senders, against real processes and a real store."""

import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import environment_for
from tests.support.factories import someone
from tests.support.servers.redis import Store, store_in
from tests.support.servers.service import Service, app, serving

pytestmark = pytest.mark.server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_in(tmp_path) as store:
        yield store


def count_statuses(services: list[Service], times: int, user: str) -> Counter[int]:
    """Send `times` requests to the services in turn, 16 at once, and count the statuses."""
    headers = services[0].headers(user)

    def ask(number: int) -> int:
        service = services[number % len(services)]
        return client.get(f"{service.url}/api/me/tasks", headers=headers).status_code

    with httpx.Client(timeout=10) as client, ThreadPoolExecutor(16) as threads:
        return Counter(threads.map(ask, range(times)))


def test_processes_that_share_a_store_accept_exactly_as_many_requests_as_the_policy_says(
    database_url: str, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    env = environment_for(
        database_url, RATE_LIMIT_STORE=store.url, RATE_LIMIT_PERSON="100/3600", WEB_CONCURRENCY="2"
    )
    with ExitStack() as stack:
        services = [stack.enter_context(serving(env, tmp_path_factory.mktemp("service"))) for _ in range(2)]

        answers = count_statuses(services, 400, someone())

    assert answers == {200: 100, 429: 300}


@pytest.mark.quiet
def test_given_the_store_is_killed_while_requests_arrive_then_each_of_them_succeeds_and_the_loss_is_logged_once(
    database_url: str, store: Store, tmp_path: Path
) -> None:
    env = environment_for(database_url, RATE_LIMIT_STORE=store.url)
    with serving(env, tmp_path) as service:
        headers, durations, statuses = service.headers(someone()), [], Counter[int]()
        with httpx.Client(timeout=10) as client:
            end = time.monotonic() + 5
            killing = threading.Timer(1.5, store.kill)
            killing.start()
            while time.monotonic() < end:
                began = time.monotonic()
                statuses[client.get(f"{service.url}/api/me/tasks", headers=headers).status_code] += 1
                durations.append(time.monotonic() - began)
        killing.join()

        log = service.log.read_text()
    assert set(statuses) == {200}
    assert max(durations) < 0.5
    assert log.count("rate limits are not shared") == 1


def test_given_an_unreachable_store_then_a_process_counts_by_itself(
    database_url: str, store: Store, tmp_path: Path
) -> None:
    store.kill()
    env = environment_for(database_url, RATE_LIMIT_STORE=store.url, RATE_LIMIT_PERSON="20/3600")
    with serving(env, tmp_path) as service:
        answers = count_statuses([service], 60, someone())

    assert answers == {200: 20, 429: 40}


def test_several_workers_without_a_store_cause_a_warning_at_the_start(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url, WEB_CONCURRENCY="2"), tmp_path) as service:
        assert "rate limits are up to 2 times as high: set RATE_LIMIT_STORE" in service.log.read_text()


def test_invalid_settings_of_rate_limits_stop_the_start_and_all_are_reported(
    database_url: str, tmp_path: Path
) -> None:
    wrong = {"RATE_LIMIT_PERSON": "many", "RATE_LIMIT_STORE": "store:6379", "TRUSTED_PROXIES": "me"}

    done = app("serve", env=environment_for(database_url, **wrong), cwd=tmp_path)

    assert done.returncode != 0
    assert all(name in done.stderr for name in wrong)


@pytest.fixture(scope="module")
def impatient(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits two seconds for a body."""
    env = environment_for(database_url, BODY_TIMEOUT="2")
    with serving(env, tmp_path_factory.mktemp("impatient")) as service:
        yield service


@contextmanager
def unfinished_request(
    service: Service, *headers: str, method: str = "POST", signed: bool = True
) -> Iterator[socket.socket]:
    """Send the head of a request, with a token if it is `signed`, and keep the connection open."""
    address = urlsplit(service.url)
    lines = [f"{method} /api/me/tasks HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    if signed:
        lines.append(f"Authorization: {service.headers(someone())['authorization']}")
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        yield connection


def answer_of(connection: socket.socket) -> bytes:
    """Return what the service sends until it closes the connection."""
    found = b""
    try:
        while more := connection.recv(65536):
            found += more
    except ConnectionResetError:
        pass
    return found


def start_dripping(connection: socket.socket, drop: bytes, pause: float = 0.1) -> Callable[[], int]:
    """Send a drop every `pause` seconds in a thread. Return a function that stops the thread and returns the number of drops."""
    count, ended = 0, threading.Event()

    def drip() -> None:
        nonlocal count
        while not ended.wait(pause):
            try:
                connection.sendall(drop)
            except OSError:
                return
            count += 1

    thread = threading.Thread(target=drip)
    thread.start()

    def stop() -> int:
        ended.set()
        thread.join()
        return count

    return stop


@pytest.mark.parametrize(
    ("header", "drop"),
    [("Content-Length: 1000", b" "), ("Transfer-Encoding: chunked", b"1\r\n \r\n")],
    ids=["length", "chunked"],
)
def test_a_body_that_arrives_byte_by_byte_gets_408_after_body_timeout(
    impatient: Service, header: str, drop: bytes
) -> None:
    with unfinished_request(impatient, header) as connection:
        began = time.monotonic()
        stop = start_dripping(connection, drop)
        answer = answer_of(connection)
        took = time.monotonic() - began
        stop()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer.lower()
    assert 1.9 < took < 4


def test_a_body_that_stops_arriving_gets_408(impatient: Service) -> None:
    with unfinished_request(impatient, "Content-Length: 1000") as connection:
        connection.sendall(b"{")
        began = time.monotonic()
        answer = answer_of(connection)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 1.9 < time.monotonic() - began < 4


def test_a_slow_body_that_arrives_in_time_is_accepted(impatient: Service) -> None:
    body = b'{"title": "slowly but surely"}'
    with unfinished_request(impatient, f"Content-Length: {len(body)}", "Connection: close") as connection:
        for byte in body:
            time.sleep(0.02)
            connection.sendall(bytes([byte]))
        answer = answer_of(connection)

    assert answer.startswith(b"HTTP/1.1 201 ")


@pytest.mark.quiet  # what the kernel takes from the client while the server is busy counts as sent
def test_an_endless_body_is_refused_as_soon_as_it_is_too_large(
    impatient: Service,
) -> None:
    with unfinished_request(impatient, "Transfer-Encoding: chunked") as connection:
        stop = start_dripping(connection, b"4000\r\n" + b" " * 0x4000 + b"\r\n", pause=0.001)
        answer = answer_of(connection)
        sent = stop() * 0x4000

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent < 8 * 1024 * 1024


@pytest.mark.quiet
def test_a_body_with_too_large_a_content_length_is_refused_before_it_is_sent(impatient: Service) -> None:
    with unfinished_request(impatient, "Content-Length: 1000000", "Connection: close") as connection:
        began = time.monotonic()
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - began < 1


def test_a_refused_client_that_keeps_sending_slowly_is_disconnected_soon(
    impatient: Service,
) -> None:
    with unfinished_request(impatient, "Content-Length: 100000", signed=False) as connection:
        began = time.monotonic()
        stop = start_dripping(connection, b" ")
        answer = answer_of(connection)
        took = time.monotonic() - began
        stop()

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert took < 5


@pytest.mark.quiet
def test_while_200_bodies_do_not_arrive_half_of_the_other_requests_get_responses_within_100_milliseconds(
    impatient: Service,
) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(unfinished_request(impatient, "Content-Length: 1000"))
        durations = []
        with httpx.Client(base_url=impatient.url, headers=impatient.headers(someone())) as client:
            for _ in range(20):
                began = time.monotonic()
                assert client.get("/api/me/tasks").status_code == 200
                durations.append(time.monotonic() - began)

    assert statistics.median_high(durations) < 0.1
