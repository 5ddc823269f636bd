"""Connections that send nothing, or too little, do not disturb other people."""

import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import mean

import httpx
import pytest

from tests.abuse.conftest import default_environment
from tests.abuse.honest import honest_person
from tests.abuse.remains import CONNECTIONS_WITHIN, POOL_DESCRIPTORS, eventually
from tests.abuse.sockets import HEALTH, address_of, connected, count_answered, wait_until_read
from tests.conftest import environment_for
from tests.support.processes import cpu_seconds, descriptors, memory, workers
from tests.support.servers.service import Service, app, serving

pytestmark = pytest.mark.server

IDLE = 2_000  # connections that send nothing
KEEP_ALIVE = 1_100  # connections that send one request and stay open
UNFINISHED = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Filling: " + b"a" * 15_000


def test_given_2000_silent_connections_then_another_person_gets_responses_as_usual(
    default_service: Service,
) -> None:
    before = descriptors(default_service)

    with connected(default_service, IDLE), honest_person(default_service) as honest:
        with honest_person(default_service, "/health") as health:
            time.sleep(4)  # while the others are measured
        held = descriptors(default_service) - before

    assert held >= IDLE
    assert honest.share_answered == health.share_answered == 1
    assert max(honest.worst, health.worst) < 3  # seconds; the silent connections last 10
    most = before + POOL_DESCRIPTORS
    assert eventually(lambda: descriptors(default_service), most, CONNECTIONS_WITHIN) <= most


def test_given_1100_people_who_keep_their_connections_then_one_more_gets_a_response(
    default_service: Service,
) -> None:
    with connected(default_service, KEEP_ALIVE, sends=HEALTH) as connections:
        assert count_answered(connections, within=8) == KEEP_ALIVE

        with honest_person(default_service) as honest:
            time.sleep(3)

    assert honest.share_answered == 1
    assert honest.worst < 3


@pytest.mark.held(360)  # MB: half of what all floods send
def test_the_memory_of_unfinished_heads_does_not_grow_from_flood_to_flood(
    default_service: Service,
) -> None:
    with honest_person(default_service) as honest:  # begins before the floods, and opens the pool
        before = descriptors(default_service)
        held = []
        # Each flood sends 30 MB. The allocator keeps parts of the first 12 to 16 floods, and needs no more after them.
        for _ in range(24):
            with connected(default_service, IDLE, sends=UNFINISHED):
                wait_until_read(default_service)
                held.append(memory(default_service))
            eventually(lambda: descriptors(default_service), before + POOL_DESCRIPTORS, CONNECTIONS_WITHIN)

    assert honest.share_answered == 1
    assert mean(held[-8:]) - mean(held[-16:-8]) < 120  # MB: half of what eight floods send


def test_an_idle_a_slow_and_a_kept_alive_connection_are_each_closed_after_about_10_seconds(
    default_service: Service,
) -> None:
    address, began = address_of(default_service), time.monotonic()
    ended: dict[str, float] = {}
    with ExitStack() as stack:
        connections = {
            name: stack.enter_context(socket.create_connection(address)) for name in ("idle", "slow", "kept")
        }
        connections["kept"].sendall(HEALTH)
        assert connections["kept"].recv(65536).startswith(b"HTTP/1.1 200")
        while connections and time.monotonic() - began < 30:
            for name, connection in [*connections.items()]:
                connection.settimeout(0.5)
                if is_ended(connection, sends=b"G" if name == "slow" else b""):
                    ended[name] = time.monotonic() - began
                    del connections[name]

    assert ended.keys() == {"idle", "slow", "kept"}
    assert all(8 < seconds < 20 for seconds in ended.values())


def is_ended(connection: socket.socket, *, sends: bytes) -> bool:
    """Send some bytes, and return whether the other side has closed the connection."""
    try:
        connection.sendall(sends)
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_the_start_raises_the_soft_limit_on_open_files_to_what_it_needs(
    database_url: str, tmp_path: Path
) -> None:
    with serving(
        default_environment(database_url), tmp_path, under=("prlimit", "--nofile=256:8192")
    ) as service:
        limits = [worker.rlimit(resource.RLIMIT_NOFILE) for worker in workers(service)]

    assert limits[0][0] >= 4_096 + 10 + 64  # connections of clients, the pool, other files
    assert "warning" not in service.log.read_text()


def test_connections_within_limit_raises_the_soft_limit_to_what_these_connections_need() -> None:
    count = (
        "import resource; from app.cli.descriptors import connections_within_limit;"
        " print(connections_within_limit(10), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )

    done = subprocess.run(
        ["prlimit", "--nofile=256:8192", sys.executable, "-c", count],  # noqa: S607 - from util-linux
        capture_output=True,
        check=True,
    )

    assert done.stdout == b"(4096, None) (4170, 8192)\n"


def test_given_256_descriptors_then_the_start_warns_and_a_flood_uses_no_cpu_in_a_loop(
    database_url: str, tmp_path: Path
) -> None:
    with serving(default_environment(database_url), tmp_path, under=("prlimit", "--nofile=256")) as service:
        with connected(service, 400):
            time.sleep(0.5)  # until the service has accepted as many as it can
            used = cpu_seconds(service)
            time.sleep(4)
            used = cpu_seconds(service) - used
            held = descriptors(service)
        after = httpx.get(f"{service.url}/health", timeout=20)

    assert used < 1.5  # seconds of the 4; a busy loop uses all of them
    assert held < 256
    assert after.status_code == 200
    assert (
        "warning: a process may open 256 files here, so each worker takes 182 connections at once instead of"
        " 4096: raise its hard limit (`ulimit -Hn`, LimitNOFILE= in systemd) to 4170 or more\n"
    ) in service.log.read_text()


def test_too_few_descriptors_for_any_connection_stop_the_start(database_url: str, tmp_path: Path) -> None:
    env = default_environment(database_url)

    done = app("serve", env=env, cwd=tmp_path, under=("prlimit", "--nofile=100"))

    assert done.returncode == 1
    assert "a process may open 100 files here, too few to take connections" in done.stderr


def test_requests_pipelined_after_the_429_of_an_address_are_dropped_with_the_connection(
    database_url: str, tmp_path: Path
) -> None:
    env = environment_for(database_url, RATE_LIMIT="on", RATE_LIMIT_ADDRESS="3/60")
    with serving(env, tmp_path) as service, closing(socket.create_connection(address_of(service))) as client:
        client.sendall(b"GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        client.settimeout(20)
        received = b"".join(iter(lambda: client.recv(65_536), b""))

    assert received.count(b"HTTP/1.1 404") == 3
    assert received.count(b"HTTP/1.1 429") == 1
