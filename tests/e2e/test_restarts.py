"""Deployments: a process is stopped or killed, and clients notice as little as possible.

Each of these faults, put into the code on purpose, made a test fail: the main process does not send SIGUSR1, so the
workers do not close connections; a stopping worker keeps its connections open; `SHUTDOWN_DELAY` is ignored; the worker
does not watch its main process; `respawn_failed_workers` is off.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app.cli.main_process import STEADY
from dev.postgres import free_port
from tests.conftest import environment_for
from tests.support.people import ORIGIN
from tests.support.servers.service import Process, Service, serving
from tests.support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.server

LONG_DELAY = "60"  # seconds: longer than `has_stopped` waits


def workers(service: Service) -> list[psutil.Process]:
    """Return the workers, with those that have ended if the main process has not noticed yet."""
    try:
        children = psutil.Process(service.process.pid).children()
    except psutil.NoSuchProcess:  # the service has ended
        return []
    return [child for child in children if child.is_running()]


def readiness(service: Service) -> httpx.Response | None:
    try:
        return httpx.get(f"{service.url}/health/ready", timeout=2)
    except httpx.TransportError:
        return None


def is_ready(service: Service) -> bool:
    response = readiness(service)
    return response is not None and response.status_code == 200


def has_stopped(process: Process, seconds: float = PATIENCE) -> bool:
    """Wait at most `seconds` for the end of a process. Return whether it has ended."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_stopping_service_is_not_ready_and_still_serves_requests(database_url: str, tmp_path: Path) -> None:
    env = environment_for(database_url, SHUTDOWN_DELAY=LONG_DELAY, WEB_CONCURRENCY="2")
    with serving(env, tmp_path) as service, httpx.Client(headers=service.headers()) as client:
        tasks, health = f"{service.url}/api/me/tasks", f"{service.url}/health/ready"
        assert client.get(tasks).headers.get("connection") != "close"
        wait_until(lambda: is_ready(service))

        service.process.send_signal(signal.SIGTERM)

        wait_until(lambda: {client.get(health).status_code for _ in range(10)} == {503})
        assert client.get(health).json()["process"] == "unavailable"
        last = client.get(tasks)
        assert (last.status_code, last.headers["connection"]) == (200, "close")
        assert service.process.poll() is None


def test_a_service_that_is_stopped_ends_with_status_0_after_the_delay(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url, SHUTDOWN_DELAY="1"), tmp_path) as service:
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)

        assert has_stopped(service.process)
        assert time.monotonic() - began >= 1
        assert service.process.returncode == 0


def test_an_idle_connection_is_closed_only_after_its_next_response(database_url: str, tmp_path: Path) -> None:
    with serving(environment_for(database_url, SHUTDOWN_DELAY=LONG_DELAY), tmp_path) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as kept:
            ask = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
            kept.sendall(ask)
            assert b"connection: close" not in kept.recv(65536).lower()

            service.process.send_signal(signal.SIGTERM)
            wait_until(lambda: (response := readiness(service)) and response.status_code == 503)

            kept.sendall(ask)
            assert b"connection: close" in kept.recv(65536).lower()
            assert kept.recv(65536) == b""


@pytest.mark.quiet  # each connection must get a response in the 0.2 s in which a worker says `connection: close`
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
async def test_given_no_delay_then_each_kept_connection_ends_with_a_response_that_says_so(
    database_url: str, tmp_path: Path, sent: signal.Signals
) -> None:
    async def last_of(client: httpx.AsyncClient) -> str:
        """Send requests until a response says that it is the last, or a request fails."""
        while (connection := (await client.get("/health")).headers.get("connection")) is None:
            pass
        return str(connection)

    with serving(environment_for(database_url), tmp_path) as service:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(httpx.AsyncClient(base_url=service.url)) for _ in range(10)
            ]
            for client in clients:
                await client.get("/health")
            service.process.send_signal(sent)
            last = await asyncio.gather(*map(last_of, clients))

    assert last == ["close"] * 10


@pytest.mark.parametrize("sent", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]], ids=["SIGINT", "twice"])
def test_sigint_or_a_second_signal_stops_without_the_delay(
    database_url: str, tmp_path: Path, sent: list[signal.Signals]
) -> None:
    with serving(environment_for(database_url, SHUTDOWN_DELAY=LONG_DELAY), tmp_path) as service:
        for number in sent:
            service.process.send_signal(number)
            time.sleep(0.2)

        assert has_stopped(service.process)
        assert service.process.returncode == 0


def log_lines(service: Service, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line[0] == "{"]
    return [line for line in lines if line["event"] == name]


def test_a_killed_worker_is_replaced_and_logged_in_one_line(database_url: str, tmp_path: Path) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        (first,) = workers(service)

        first.kill()

        wait_until(lambda: [worker.pid for worker in workers(service)] not in ([], [first.pid]))
        wait_until(lambda: is_ready(service))

    (line,) = log_lines(service, "worker replaced")
    assert (line["pid"], line["cause"], line["restarts"]) == (first.pid, "SIGKILL", 1)


def test_given_a_killed_worker_then_a_new_connection_waits_for_the_next_worker_and_is_not_refused(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        (worker,) = workers(service)
        worker.kill()
        wait_until(lambda: worker not in workers(service) or worker.status() == psutil.STATUS_ZOMBIE)

        assert httpx.get(f"{service.url}/health", timeout=PATIENCE).status_code == 200


def test_given_two_deaths_of_the_only_worker_within_a_short_time_then_the_service_ends_and_logs_the_reason(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        for _ in range(2):
            (worker,) = workers(service)
            worker.kill()
            wait_until(lambda: not any(each.pid == worker.pid for each in workers(service)))  # noqa: B023 - called at once
            wait_until(lambda: has_stopped(service.process, 0.05) or workers(service))

        assert has_stopped(service.process)
        assert service.process.returncode == 1

    (line,) = log_lines(service, "worker died again at once: stopping")
    assert (line["pid"], line["cause"]) == (worker.pid, "SIGKILL")


def test_a_worker_that_dies_young_is_replaced_as_long_as_another_serves(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url, WEB_CONCURRENCY="2"), tmp_path) as service:
        wait_until(lambda: len(workers(service)) == 2)
        steady, young = workers(service)
        time.sleep(STEADY)

        for _ in range(3):
            young.kill()
            wait_until(lambda: {*workers(service)} - {steady, young})  # noqa: B023 - called at once
            (young,) = {*workers(service)} - {steady, young}

        wait_until(lambda: is_ready(service))
        assert len(log_lines(service, "worker replaced")) == 3
        assert steady.is_running()


def test_given_a_reload_whose_new_worker_starts_slowly_then_the_old_one_serves_until_the_new_one_has_started(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        (old,) = workers(service)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(workers(service)) == 2)
        (new,) = {*workers(service)} - {old}
        new.suspend()
        for _ in range(10):
            assert httpx.get(f"{service.url}/health", timeout=PATIENCE).status_code == 200
            time.sleep(0.1)
        meanwhile = workers(service)

        new.resume()

        wait_until(lambda: workers(service) == [new])
        assert meanwhile == [old, new]
        assert is_ready(service)


def test_given_a_worker_that_dies_soon_after_a_reload_then_it_is_replaced(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        (first,) = workers(service)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: first not in workers(service) and workers(service))
        (second,) = workers(service)
        second.kill()

        wait_until(lambda: second not in workers(service) and is_ready(service))

        assert len(workers(service)) == 1


def test_given_a_new_worker_that_dies_at_its_start_then_a_reload_keeps_the_old_one_and_logs_an_error(
    database_url: str, tmp_path: Path
) -> None:
    failed = "new worker did not start: the old one goes on"
    with serving(environment_for(database_url), tmp_path) as service:
        (old,) = workers(service)
        # OpenTelemetry refuses a queue that is smaller than a batch. The main process does not notice.
        traces = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9\nOTEL_BSP_MAX_QUEUE_SIZE=1\n"
        (tmp_path / ".env").write_text(traces)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: log_lines(service, failed))
        went_on = workers(service), is_ready(service)

        (tmp_path / ".env").write_text("")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not old.is_running())

        assert is_ready(service)

    (line,) = log_lines(service, failed)
    assert (line["level"], line["pid"], line["cause"]) == ("error", old.pid, "exit status 1")
    assert went_on == ([old], True)
    assert len(log_lines(service, "worker replaced")) == 1


def test_workers_that_are_replaced_on_request_are_logged_and_not_counted(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        (first,) = workers(service)

        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not first.is_running())

    (line,) = log_lines(service, "worker replaced")
    assert (line["pid"], line["cause"], line["restarts"], line["level"]) == (
        first.pid,
        "SIGHUP",
        0,
        "info",
    )


def test_given_invalid_settings_then_a_reload_logs_them_and_the_old_worker_continues(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    env = environment_for(database_url)
    del env["DATABASE_URL"]
    file.write_text(f"DATABASE_URL={database_url}\n")
    refused = "invalid settings: the workers keep the old ones"
    with serving(env, tmp_path) as service:
        (first,) = workers(service)

        file.write_text(f"DATABASE_URL={database_url}\nPOOL_SIZE=many\nMAX_TASKS=few\n")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(log_lines(service, refused)) == 1)
        file.write_text(f"DATABASE_URL={database_url}_gone\n")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(log_lines(service, refused)) == 2)
        workers_meanwhile, response_meanwhile = workers(service), readiness(service)

        first.kill()  # its replacement reads the settings that were accepted, not the current file
        wait_until(
            lambda: is_ready(service) and [worker.pid for worker in workers(service)] not in ([], [first.pid])
        )
        (second,) = workers(service)
        file.write_text(f"DATABASE_URL={database_url}\n")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not second.is_running())

    settings, database = (line["errors"] for line in log_lines(service, refused))
    assert [fault.split()[0] for fault in settings] == ["POOL_SIZE", "MAX_TASKS"]
    assert [fault.split()[:4] for fault in database] == [["DATABASE_URL", "names", "the", "database"]]
    assert workers_meanwhile == [first]
    assert response_meanwhile is not None
    assert response_meanwhile.status_code == 200
    assert len(log_lines(service, "worker replaced")) == 2


def has_handler(process: Process, number: signal.Signals) -> bool:
    """Return whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.quiet  # it measures how long the end takes
@pytest.mark.parametrize("after", [0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0])
def test_a_service_stopped_within_a_second_of_its_start_ends_within_two_with_status_0(
    database_url: str, tmp_path: Path, after: float
) -> None:
    port = free_port()
    env = environment_for(database_url, METRICS_PORT=str(port), WEB_CONCURRENCY="2")
    with serving(env, tmp_path, wait=False) as service:
        wait_until(lambda: has_handler(service.process, signal.SIGTERM))  # Python itself has none
        time.sleep(after)

        service.process.send_signal(signal.SIGTERM)

        assert has_stopped(service.process, 2)
    assert service.process.returncode == 0
    assert "Traceback" not in service.log.read_text()


SIGTERM_AT_IMPORT = """
import os, runpy, signal, sys

class Stopping:
    def find_spec(self, name, *_):
        if name == sys.argv[-1]:
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Stopping())
runpy.run_module("app", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("verb", "module", "status"),
    [("serve", "app.cli", 0), ("serve", "granian.server", 0), ("migrate", "alembic", -signal.SIGTERM)],
)
def test_given_sigterm_during_the_imports_then_serve_ends_with_status_0_and_other_commands_do_not(
    verb: str, module: str, status: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGTERM_AT_IMPORT, verb, module], capture_output=True, check=False, timeout=30
    )

    assert (done.returncode, done.stderr) == (status, b"")


@pytest.mark.parametrize("delay", ["0", LONG_DELAY])
def test_given_a_stop_signal_for_the_whole_process_group_then_the_service_ends_at_once_and_logs_no_error(
    database_url: str, tmp_path: Path, delay: str
) -> None:
    env = environment_for(database_url, WEB_CONCURRENCY="2", SHUTDOWN_DELAY=delay)
    with serving(env, tmp_path) as service:
        wait_until(lambda: is_ready(service))
        both = workers(service)
        service.process.send_signal(signal.SIGSTOP)  # so that the workers end first

        os.killpg(service.process.pid, signal.SIGTERM)
        wait_until(lambda: all(worker.status() == psutil.STATUS_ZOMBIE for worker in both))
        service.process.send_signal(signal.SIGCONT)

        assert has_stopped(service.process)
    assert service.process.returncode == 0
    assert len(both) == 2
    assert '"level":"error"' not in service.log.read_text().replace(": ", ":")


def test_given_a_worker_that_was_just_replaced_then_a_stop_signal_for_the_whole_group_is_no_crash_loop(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        (killed,) = workers(service)
        killed.kill()
        wait_until(lambda: killed not in workers(service) and is_ready(service))
        (replacement,) = workers(service)
        service.process.send_signal(signal.SIGSTOP)  # so that the worker ends first

        os.killpg(service.process.pid, signal.SIGTERM)
        wait_until(lambda: replacement.status() == psutil.STATUS_ZOMBIE)
        service.process.send_signal(signal.SIGCONT)

        assert has_stopped(service.process)
    assert service.process.returncode == 0
    assert len(log_lines(service, "worker replaced")) == 1
    assert not log_lines(service, "worker died again at once: stopping")


def test_the_start_logs_its_url_issuer_and_database_in_one_line(database_url: str, tmp_path: Path) -> None:
    with serving(environment_for(database_url, WEB_CONCURRENCY="2"), tmp_path) as service:
        (line,) = log_lines(service, "serving")

    logged = {name: line[name] for name in ("url", "workers", "issuer", "database", "version")}
    assert logged == {
        "url": service.url,
        "workers": 2,
        "issuer": ORIGIN,
        "database": "127.0.0.1",
        "version": version("taskward"),
    }


def test_given_a_killed_main_process_then_its_worker_frees_the_port(
    database_url: str, tmp_path: Path
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        (worker,) = workers(service)

        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()

        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        assert readiness(service) is None
