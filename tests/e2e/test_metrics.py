"""The metrics of a service with real workers: two in most tests, one or none in the others.

Each of these faults, put into the code on purpose, made a test fail: the gauges of dead workers are kept; the route
is the raw path; a label has any method that a client sends; counters are copied and not added up by their differences.
"""

import asyncio
import json
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import psutil
import pytest

from app.cli.metrics_files import merge_dead
from dev.postgres import PostgresServer, free_port
from tests.conftest import environment_for
from tests.support.factories import someone
from tests.support.locks import locked
from tests.support.metrics import Samples, eventually, scraped, total
from tests.support.servers.jwks import jwks_server
from tests.support.servers.service import Service, app, serving
from tests.support.signing import SigningKey
from tests.support.waiting import wait_until

pytestmark = pytest.mark.server

COUNT = "taskward_http_request_duration_seconds_count"
LIST_ROUTE = "/api/{user_id}/tasks"


@pytest.fixture(scope="module")
def port() -> int:
    """The port of the metrics of `two_workers`."""
    return free_port()


@pytest.fixture(scope="module")
def two_workers(database_url: str, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    env = environment_for(database_url, METRICS_PORT=str(port), WEB_CONCURRENCY="2")
    with serving(env, tmp_path_factory.mktemp("two")) as service:
        yield service


def ask(service: Service, times: int, path: str = "/api/me/tasks", method: str = "GET") -> None:
    """Send requests, each on a new connection, so both workers get some of them."""
    for _ in range(times):
        httpx.request(method, f"{service.url}{path}", headers=service.headers())


def count_lists(samples: Samples) -> float:
    return total(samples, COUNT, route=LIST_ROUTE, method="GET", status=200)


def test_requests_are_counted_over_all_workers_by_route_method_and_status(
    two_workers: Service, port: int
) -> None:
    before = scraped(port)

    ask(two_workers, 40)
    ask(two_workers, 2, "/api/me/tasks/no-uuid")
    httpx.get(f"{two_workers.url}/api/{someone()}/tasks", headers=two_workers.headers())

    after = eventually(port, lambda samples: total(samples, "taskward_workers") == 2)
    assert count_lists(after) - count_lists(before) == 40
    assert total(after, COUNT, route="/api/{user_id}/tasks/{task_id}", status=400) == 2
    assert total(after, COUNT, route=LIST_ROUTE, status=403) == 1
    assert total(after, "taskward_problems_total", type="invalid-request") == 2
    assert total(after, "taskward_problems_total", type="not-yours") == 1


def test_no_label_has_a_value_that_a_client_can_choose(two_workers: Service, port: int) -> None:
    ann = someone("ann")

    for method, path in (("BREW", f"/api/{ann}/tasks"), ("GET", f"/{ann}"), ("OPTIONS", f"/api/{ann}/tasks")):
        ask(two_workers, 1, path, method)

    labels = str([labels_of_one for _, labels_of_one in scraped(port)])
    assert "_OTHER" in labels
    for made_up in ("BREW", ann, "/api/me"):
        assert made_up not in labels


def test_metrics_show_the_pool_and_the_requests_that_wait_for_a_lock(
    two_workers: Service, port: int, postgres: PostgresServer, database_url: str
) -> None:
    name = database_url.rpartition("/")[2]
    ask(two_workers, 1)
    asking = [threading.Thread(target=ask, args=(two_workers, 1)) for _ in range(3)]
    with locked(postgres, name):
        for thread in asking:
            thread.start()

        samples = eventually(
            port, lambda samples: total(samples, "taskward_database_connections_lent") == len(asking)
        )
        assert total(samples, "taskward_http_requests_in_flight") >= len(asking)
        assert total(samples, "taskward_database_pool_size") >= 2 * len(asking)
    for thread in asking:
        thread.join()
    for name in ("taskward_database_connections_lent", "taskward_http_requests_in_flight"):
        eventually(port, lambda samples, name=name: total(samples, name) == 0)  # type: ignore[misc]  # mypy: `name=name`


def test_a_token_that_was_verified_before_counts_as_a_cache_hit(two_workers: Service, port: int) -> None:
    headers = two_workers.headers(someone())
    before = scraped(port)

    with httpx.Client(base_url=two_workers.url, headers=headers) as client:  # one connection: one worker
        for _ in range(5):
            client.get("/api/me/tasks")

    def hits_and_misses(samples: Samples) -> tuple[float, float]:
        return tuple(  # type: ignore[return-value]  # two of them
            total(samples, f"taskward_token_cache_{name}_total")
            - total(before, f"taskward_token_cache_{name}_total")
            for name in ("hits", "misses")
        )

    eventually(port, lambda samples: hits_and_misses(samples) == (4, 1))


def test_given_a_killed_worker_then_its_counters_stay_and_its_gauges_disappear(
    two_workers: Service, port: int
) -> None:
    ask(two_workers, 20)
    eventually(port, lambda samples: total(samples, "taskward_workers") == 2)
    before = count_lists(scraped(port))
    worker = psutil.Process(two_workers.process.pid).children()[0]

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(5)

    without = eventually(port, lambda samples: total(samples, "taskward_workers") == 1)
    assert count_lists(without) == before
    eventually(port, lambda samples: total(samples, "taskward_workers") == 2)  # it was replaced
    ask(two_workers, 10)
    assert count_lists(scraped(port)) == before + 10


def test_the_series_of_500_and_503_start_at_0_so_that_the_first_failure_is_an_increase(
    two_workers: Service, port: int
) -> None:
    with httpx.Client(base_url=two_workers.url) as client:
        routes = client.get("/openapi.json").json()["paths"]

    counted = {
        (values["route"], values["method"], values["status"])
        for (name, labels), value in scraped(port).items()
        if name == COUNT and value == 0 and (values := dict(labels))
    }

    expected = {
        (path, method.upper())
        for path, methods in routes.items()
        for method in methods
        if method != "parameters"
    }
    assert len(expected) >= 12
    for route, method in expected:
        assert {(route, method, "500"), (route, method, "503")} <= counted


def test_metrics_show_the_version_and_the_configured_workers(two_workers: Service, port: int) -> None:
    samples = scraped(port)

    assert (
        total(samples, "taskward_build_info", version=version("taskward"), python=platform.python_version())
        == 1
    )
    assert total(samples, "taskward_workers_configured") == 2


def test_workers_that_die_are_counted_and_logged_and_their_files_do_not_pile_up(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    with serving(environment_for(database_url, METRICS_PORT=str(port)), tmp_path) as service:
        (folder,) = folders_of(service)
        for deaths in (1, 2):
            ask(service, 5)
            (worker,) = psutil.Process(service.process.pid).children()
            if deaths == 2:
                time.sleep(6)  # a second death within 5.5 s would end the service
            worker.kill()
            worker.wait(5)
            eventually(port, lambda samples: total(samples, "taskward_worker_restarts_total") == deaths)  # noqa: B023 - called at once
            eventually(port, lambda samples: total(samples, "taskward_workers") == 1)
        ask(service, 5)
        samples = scraped(port)

        assert count_lists(samples) == 15
        # the files of the living worker, and one that adds up those of the dead workers
        assert len({file.stem.rpartition("_")[2] for file in folder.glob("*.db")}) == 2

    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    replaced = [line for line in lines if line["event"] == "worker replaced"]
    assert [(line["cause"], line["restarts"], line["level"]) for line in replaced] == [
        ("SIGKILL", 1, "error"),
        ("SIGKILL", 2, "error"),
    ]


def test_the_metrics_files_of_a_dead_worker_are_removed_without_any_scrape(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url, METRICS_PORT=str(free_port())), tmp_path) as service:
        (folder,) = folders_of(service)
        (worker,) = psutil.Process(service.process.pid).children()

        worker.kill()

        wait_until(lambda: not list(folder.glob(f"*_{worker.pid}.db")), seconds=10)


def test_a_process_of_another_user_with_the_id_of_a_dead_worker_does_not_keep_its_metrics_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gauge_livesum_4711.db"
    file.touch()

    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    merge_dead(tmp_path)

    assert not file.exists()


def folders_of(service: Service) -> list[Path]:
    """Return the folders of the workers' metrics files."""
    files = {
        Path(mapped.path)
        for child in psutil.Process(service.process.pid).children()
        for mapped in child.memory_maps()
        if mapped.path.endswith(".db")
    }
    return list({file.parent for file in files})


def test_a_start_removes_the_folder_of_a_killed_service_and_keeps_that_of_a_running_one(
    database_url: str, tmp_path: Path
) -> None:
    env = environment_for(database_url, METRICS_PORT=str(free_port()))
    with serving(env, tmp_path) as killed:
        (of_killed,) = folders_of(killed)
        killed.kill()
        killed.process.wait()
    assert of_killed.exists()

    env["METRICS_PORT"] = str(free_port())
    with serving(env, tmp_path) as running:
        (of_running,) = folders_of(running)
        assert not of_killed.exists()
        with serving(env | {"METRICS_PORT": str(free_port())}, tmp_path):
            assert of_running.exists()
        assert of_running.exists()
    assert not of_running.exists()


async def test_metrics_show_the_number_of_public_keys_and_the_time_of_their_fetch(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()

    def read_metrics(url: str) -> Samples:
        with serving(environment_for(database_url, JWKS_URL=url, METRICS_PORT=str(port)), tmp_path):
            return eventually(port, lambda samples: total(samples, "taskward_keys") == 1)

    async with jwks_server(SigningKey().public) as server:
        samples = await asyncio.to_thread(read_metrics, server.url)

    assert total(samples, "taskward_keys_fetches_total") == server.requests
    assert total(samples, "taskward_keys_fetch_failures_total") == 0
    assert 0 < time.time() - total(samples, "taskward_keys_last_success_timestamp_seconds") < 60


def test_metrics_are_not_on_the_public_port_and_off_by_default(service: Service) -> None:
    listening = psutil.Process(service.process.pid).net_connections("inet")

    assert httpx.get(f"{service.url}/metrics").status_code == 404
    assert {connection.laddr.port for connection in listening if connection.status == "LISTEN"} <= {
        int(service.url.rpartition(":")[2])
    }


def test_a_metrics_port_that_is_in_use_stops_the_start(
    database_url: str, service: Service, tmp_path: Path
) -> None:
    used = service.url.rpartition(":")[2]

    ended = app("serve", env=environment_for(database_url, METRICS_PORT=used), cwd=tmp_path)

    assert ended.returncode == 1
    assert f"METRICS_PORT {used} is used" in ended.stderr
