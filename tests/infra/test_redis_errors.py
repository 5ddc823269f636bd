"""Errors of RATE_LIMIT_STORE name their cause, at the start and while serving; no request is refused."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from app.domain.rate_limit import MemoryCounter
from app.infra.redis_counter import RedisCounter
from dev.postgres import free_port
from tests.conftest import environment_for
from tests.support import certificates
from tests.support.metrics import eventually, total
from tests.support.servers.redis import Store, store_in
from tests.support.servers.service import Service, serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.server

PASSWORD = "hunter2"
UNAVAILABLE = "rate limits are not shared: their store is unavailable"


@pytest.fixture(scope="module")
def tls_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def store(folder: Path, tls_port: int) -> Iterator[Store]:
    """A store with a password, TLS on a second port, and a user who may only read."""
    authority = certificates.make(folder, "localhost")
    options = {
        "requirepass": PASSWORD,
        "tls-port": str(tls_port),
        "tls-cert-file": str(folder / "server.crt"),
        "tls-key-file": str(folder / "server.key"),
        "tls-ca-cert-file": str(authority),
        "tls-auth-clients": "no",
    }
    with store_in(
        folder, *(part for name, value in options.items() for part in (f"--{name}", value))
    ) as store:
        with redis.Redis(port=store.port, password=PASSWORD) as client:
            client.acl_setuser(
                "reader", enabled=True, passwords=["+x"], commands=["+ping", "+select", "+get"]
            )
        yield store


async def error_of(url: str, ca_file: Path | None = None) -> str | None:
    """Return the error of a store as the start reports it; None, if the store can be used."""
    counts = RedisCounter(url, MemoryCounter(), ca_file=None if ca_file is None else str(ca_file))
    try:
        return await counts.probe(2)
    finally:
        await counts.close()


CAUSES = {
    "redis://localhost:{port}": "has a user or password that localhost refuses",
    "redis://:wrong@localhost:{port}": "has a user or password that localhost refuses",
    "redis://nobody:hunter2@localhost:{port}": "has a user or password that localhost refuses",
    "redis://reader:x@localhost:{port}": "names a user of localhost who lacks a right: allow EVALSHA, SCRIPT LOAD, INCRBY and EXPIRE, and the keys taskward:*",
    "redis://:hunter2@localhost:{port}/99": "names the database 99, which localhost does not have",
    "rediss://:hunter2@localhost:{tls_port}": "names localhost, whose certificate is not valid for it"
    " (self-signed certificate in certificate chain): check the host name, or set RATE_LIMIT_STORE_CA to the file of its CA",
    "rediss://:hunter2@localhost:{port}": "names localhost, which does not answer in time on port {port}: does it speak TLS there?",
    "redis://:hunter2@localhost:{tls_port}": "names localhost, with which the connection breaks",
    "redis://:hunter2@localhost:{unused}": "names localhost, where nothing listens on port {unused}",
    "redis://:hunter2@store.invalid:{port}": "names store.invalid, a name that cannot be looked up",
}


@pytest.mark.parametrize("url", CAUSES)
async def test_each_wrong_store_is_reported_with_its_cause(store: Store, tls_port: int, url: str) -> None:
    ports = {"port": store.port, "tls_port": tls_port, "unused": free_port()}

    error = await error_of(url.format(**ports))

    assert error == f"RATE_LIMIT_STORE {CAUSES[url].format(**ports)}"
    assert PASSWORD not in error


async def test_a_user_with_the_rights_that_the_error_names_can_count_and_the_count_expires(
    tmp_path: Path,
) -> None:
    rights = ["+evalsha", "+script|load", "+incrby", "+expire", "+select"]
    with store_in(tmp_path) as store, redis.Redis(port=store.port, db=1) as client:
        client.acl_setuser("counter", enabled=True, passwords=["+x"], commands=rights, keys=["taskward:*"])

        assert await error_of(f"redis://counter:x@localhost:{store.port}/1") is None
        assert client.ttl("taskward:probe") != -1  # -1 would be a key that never expires


async def test_a_read_only_replica_is_reported_with_what_to_do(store: Store, folder: Path) -> None:
    (place := folder / "replica").mkdir()
    with store_in(place, "--replicaof", "127.0.0.1", str(store.port)) as replica:
        assert (
            await error_of(replica.url)
            == "RATE_LIMIT_STORE names 127.0.0.1, a replica that only reads: name its primary"
        )


async def test_a_store_with_a_certificate_of_the_given_authority_is_accepted_only_under_its_name(
    store: Store, folder: Path, tls_port: int
) -> None:
    url = f"valkeys://:{PASSWORD}@{{}}:{tls_port}/1"

    assert await error_of(url.format("localhost"), folder / "root.crt") is None
    assert "whose certificate is not valid for it" in str(
        await error_of(url.format("127.0.0.1"), folder / "root.crt")
    )


def lines_of(service: Service) -> list[dict[str, str]]:
    """Return the JSON lines of the service's log."""
    return [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]


def test_given_a_wrong_store_password_then_the_service_warns_serves_and_recovers_by_itself(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    (place := tmp_path / "store").mkdir()
    with store_in(place, "--requirepass", PASSWORD) as store:
        env = environment_for(
            database_url, RATE_LIMIT_STORE=f"redis://:wrong@127.0.0.1:{store.port}", METRICS_PORT=str(port)
        )
        with serving(env, tmp_path) as service:
            eventually(port, lambda samples: samples.get(("taskward_rate_limit_store_up", frozenset())) == 0)
            ready = httpx.get(f"{service.url}/health/ready")
            listed = httpx.get(f"{service.url}/api/me/tasks", headers=service.headers())

            assert (listed.status_code, listed.headers["ratelimit"].partition(";")[0]) == (200, '"person"')
            assert (ready.status_code, ready.json()["status"]) == (200, "ok")
            assert ready.json()["rate_limit_store"] == "unavailable"
            assert "password" not in ready.text

            with redis.Redis(port=store.port, password=PASSWORD) as client:
                client.config_set("requirepass", "wrong")
            eventually(port, lambda samples: total(samples, "taskward_rate_limit_store_up") == 1)
            assert httpx.get(f"{service.url}/health/ready").json()["rate_limit_store"] == "ok"

    cause = "RATE_LIMIT_STORE has a user or password that 127.0.0.1 refuses"
    assert f"warning: {cause}; until then each process counts requests by itself" in service.log.read_text()
    assert [line["reason"] for line in lines_of(service) if line["event"] == UNAVAILABLE] == [cause]


def test_a_store_that_returns_with_another_password_is_reported_again(
    database_url: str, tmp_path: Path
) -> None:
    (place := tmp_path / "store").mkdir()
    with store_in(place) as store:
        env = environment_for(database_url, RATE_LIMIT_STORE=store.url)
        with serving(env, tmp_path) as service:
            store.kill()
            httpx.get(f"{service.url}/api/me/tasks", headers=service.headers())
            store.options = ("--requirepass", PASSWORD)
            store.start()
            wait_until(lambda: any("refuses" in line.get("reason", "") for line in lines_of(service)))

    (line,) = [line for line in lines_of(service) if "refuses" in line.get("reason", "")]
    assert line["event"] == "rate limits are still not shared"


def test_an_unreachable_store_does_not_delay_the_start(database_url: str, tmp_path: Path) -> None:
    env = environment_for(database_url, RATE_LIMIT_STORE=f"redis://127.0.0.1:{free_port()}")

    began = time.monotonic()
    with serving(env, tmp_path) as service:
        assert time.monotonic() - began < 10
        assert httpx.get(f"{service.url}/health/ready").status_code == 200

    assert re.search(
        "warning: RATE_LIMIT_STORE names 127.0.0.1, where nothing listens", service.log.read_text()
    )


def test_without_rate_limits_the_store_is_not_checked(database_url: str, tmp_path: Path) -> None:
    env = environment_for(database_url, RATE_LIMIT="off", RATE_LIMIT_STORE="redis://127.0.0.1:1")

    with serving(env, tmp_path) as service:
        assert "rate_limit_store" not in httpx.get(f"{service.url}/health/ready").json()

    assert "RATE_LIMIT_STORE" not in service.log.read_text()
