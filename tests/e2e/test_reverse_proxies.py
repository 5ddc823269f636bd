"""The files of docs/examples/: nginx and Caddy in front of a service, and the unit of systemd."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.abuse.conftest import default_environment
from tests.abuse.readers import LARGE_LIST, make_hoarder
from tests.support.factories import someone
from tests.support.processes import descriptors
from tests.support.servers.reverse_proxies import EXAMPLES, NAME, ReverseProxy, caddy, edited, nginx
from tests.support.servers.service import Service, serving

pytestmark = pytest.mark.server

FRESH = count(4)  # the last parts of addresses from which no test has sent a request
CAP = 64  # concurrent requests of one address that nginx.conf allows
SNI = {"sni_hostname": NAME}  # an extension of httpx: the server name in the TLS handshake


@pytest.fixture(scope="module")
def proxied_service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service behind the proxies, with the settings that the examples require."""
    env = default_environment(database_url, TRUSTED_PROXIES="127.0.0.1/32", ALLOWED_HOSTS=f"{NAME},127.0.0.1")
    with serving(env, tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, proxied_service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReverseProxy]:
    run: Callable[[Service, Path], AbstractContextManager[ReverseProxy]] = request.param
    with run(proxied_service, tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def capped(proxied_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReverseProxy]:
    """nginx, for the test that sends as many concurrent requests as nginx allows (`CAP`)."""
    with nginx(proxied_service, tmp_path_factory.mktemp("capped")) as proxy:
        yield proxy


def requests_left(answer: httpx.Response) -> int:
    """Return how many requests the address has left in this window."""
    policy, left, _ = answer.headers["ratelimit"].split(";")
    assert policy == '"address"'
    return int(left.removeprefix("r="))


def test_the_proxy_passes_requests_on_and_adds_tls(proxy: ReverseProxy, proxied_service: Service) -> None:
    with proxy.client(**proxied_service.headers(someone("ann"))) as client:
        created = client.post("/api/me/tasks", json={"title": "through a proxy"}, extensions=SNI)
        listed = client.get("/api/me/tasks", extensions=SNI)

    assert created.status_code == 201
    assert listed.json() == [created.json()]
    assert "strict-transport-security" in listed.headers  # the service believed X-Forwarded-Proto


def test_each_client_is_counted_by_its_real_address_even_if_it_forges_the_header(proxy: ReverseProxy) -> None:
    mine, theirs = (f"127.0.0.{next(FRESH)}" for _ in range(2))
    one = requests_left(proxy.ask("/nowhere", mine))
    forged = {"x-forwarded-for": theirs, "forwarded": f"for={theirs}", "x-real-ip": theirs}

    again = requests_left(proxy.ask("/nowhere", mine, **forged))
    another = requests_left(proxy.ask("/nowhere", theirs))

    assert again == one - 1
    assert another > again


def test_the_413_of_a_large_body_comes_from_the_service_and_not_from_the_proxy(
    proxy: ReverseProxy, proxied_service: Service
) -> None:
    headers = {**proxied_service.headers(someone("ann")), "content-type": "application/json"}

    with proxy.client(**headers) as client:
        answer = client.post("/api/me/tasks/batch", content=b" " * 2_500_000, extensions=SNI)

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_event_passes_the_proxy_at_once(proxy: ReverseProxy, proxied_service: Service) -> None:
    with (
        proxy.client(**proxied_service.headers(someone("ann"))) as client,
        client.stream("GET", "/api/me/tasks/events?since=now", extensions=SNI) as stream,
    ):
        lines = stream.iter_lines()
        assert "event: ready" in lines
        client.post("/api/me/tasks", json={"title": "through a proxy"}, extensions=SNI)

        assert any(line.startswith("data:") and "through a proxy" in line for line in lines)


def test_idle_connections_to_the_service_are_closed_by_the_proxy_before_the_service_would_close_them(
    proxy: ReverseProxy, proxied_service: Service
) -> None:
    time.sleep(6)  # until the connections of other tests have ended
    before = descriptors(proxied_service)

    proxy.ask("/health")
    time.sleep(1)  # then the connection is idle
    kept = descriptors(proxied_service) - before
    time.sleep(6.5)

    assert kept == 1
    # Now 7.5 seconds have passed. The service would close the connection after 10 seconds.
    assert descriptors(proxied_service) <= before


def test_the_proxy_buffers_responses_for_slow_readers_so_the_service_refuses_no_reader(
    proxy: ReverseProxy, proxied_service: Service
) -> None:
    ann = make_hoarder(proxied_service)
    head = f"GET {LARGE_LIST} HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer {proxied_service.token(ann)}\r\n\r\n"
    with ExitStack() as stack:
        answered = Counter[bytes]()
        for _ in range(20):  # each of 1 MB; the service alone would let 4 wait
            plain = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
            reader = stack.enter_context(proxy.trust.wrap_socket(plain, server_hostname=NAME))
            reader.sendall(head.encode())
            answered[reader.recv(12)] += 1
        direct = httpx.get(f"{proxied_service.url}{LARGE_LIST}", headers=proxied_service.headers(ann))

    assert answered == {b"HTTP/1.1 200": 20}
    assert direct.status_code == 200


def test_an_address_with_the_maximum_of_concurrent_requests_gets_429_and_others_do_not(
    capped: ReverseProxy, proxied_service: Service
) -> None:
    head = f"POST /api/me/tasks HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: {proxied_service.headers()['authorization']}\r\n"
    unfinished = f"{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode()
    with ExitStack() as stack:
        for _ in range(CAP):
            plain = socket.create_connection(("127.0.0.1", capped.port), source_address=("127.0.0.2", 0))
            under_way = stack.enter_context(capped.trust.wrap_socket(plain, server_hostname=NAME))
            under_way.sendall(unfinished)
        time.sleep(0.5)  # until nginx has read all of them

        refused = capped.ask("/health", "127.0.0.2")
        another = capped.ask("/health", "127.0.0.3")

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["status"] == 429
    assert another.status_code == 200


def test_ipv6_addresses_of_one_64_bit_network_share_one_limit(tmp_path: Path) -> None:
    command = [
        "unshare",
        "--map-root-user",
        "--net",
        sys.executable,
        "-m",
        "tests.support.servers.ipv6_sites",
        str(tmp_path),
    ]

    done = subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES.parent.parent, check=False)

    assert json.loads(done.stdout or "{}") == {"same network": 429, "other network": 503}, done.stderr


def test_without_the_service_nginx_sends_503_as_a_problem_document(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    env = default_environment(database_url, ALLOWED_HOSTS="*")
    with serving(env, tmp_path_factory.mktemp("service")) as service:
        stack = ExitStack()
        proxy = stack.enter_context(nginx(service, tmp_path_factory.mktemp("proxy")))
    with stack:
        answer = proxy.ask("/health")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["status"] == 503


def test_systemd_analyze_finds_no_error_in_the_unit(tmp_path: Path) -> None:
    program, user = Path(sys.executable).with_name("app"), Path.home().owner()
    changes = {"/opt/taskward/bin/app": str(program), "User=taskward": f"User={user}"}
    (tmp_path / "taskward.service").write_text(edited("taskward.service", changes))
    verify = shutil.which("systemd-analyze")
    assert verify, "systemd is not installed: `.ci/run` installs it"

    done = subprocess.run(
        [verify, "verify", str(tmp_path / "taskward.service")], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_operations_page_names_every_example() -> None:
    page = (EXAMPLES.parent / "operations.md").read_text()

    assert all(f"(examples/{example.name})" in page for example in EXAMPLES.iterdir())
