"""A start in an impossible environment fails with one line, and a log that nobody reads does no harm."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from dev.postgres import free_port
from tests.conftest import environment_for
from tests.support.metrics import eventually, scraped, total
from tests.support.servers.service import BARE_ENVIRONMENT, app, serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.server

GONE = "the log cannot be written to standard output"
NOTICE = f"{GONE} (Broken pipe): lines are dropped until it can"
COUNT = "taskward_http_request_duration_seconds_count"
LIST_ROUTE = "/api/{user_id}/tasks"
READ_ONLY = 'for place in /dev/shm /tmp /var/tmp; do mount --bind $place $place && mount -o remount,bind,ro $place; done; cd /proc && exec "$@"'


END_TIMEOUT = 120  # seconds; a command that runs for longer is taken to hang
RESPONSE_TIMEOUT = 10  # seconds


def run_script(env: dict[str, str], folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script, which finds the command `python -m app serve` in `"$@"`."""
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "app", "serve"]
    return subprocess.run(
        command,
        env={**BARE_ENVIRONMENT, "PORT": str(free_port()), **env},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=END_TIMEOUT,
    )


def test_a_start_in_a_deleted_folder_fails_with_one_line(database_url: str, tmp_path: Path) -> None:
    (folder := tmp_path / "gone").mkdir()

    done = run_script(environment_for(database_url), folder, 'rmdir "$PWD" && exec "$@"')

    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == "Taskward cannot start: the working directory was deleted: start Taskward in one that exists\n"
    )


@pytest.mark.parametrize("verb", ["serve", "migrate"])
def test_a_start_with_standard_output_closed_fails_with_one_line(
    database_url: str, tmp_path: Path, verb: str
) -> None:
    done = run_script(environment_for(database_url), tmp_path, f'exec "$1" -m app {verb} >&-')

    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "Taskward cannot start: standard output is closed: open it, or send it to /dev/null\n"
    )


@pytest.fixture
def read_only() -> list[str]:
    """A command that runs another one, in a mount namespace where the folders of `READ_ONLY` are read-only."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, "sh"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of one's own")
    return command


def test_a_start_with_metrics_and_no_writable_folder_fails_with_one_line(
    database_url: str, read_only: list[str], tmp_path: Path
) -> None:
    env = environment_for(database_url, METRICS_PORT=str(free_port()), TMPDIR="/proc")

    done = app("serve", env=env, cwd=tmp_path, under=read_only)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "Taskward cannot start: METRICS_PORT needs a folder to write to, /dev/shm or a temporary one"
    )
    assert done.stderr.count("\n") == 1


def test_without_metrics_the_service_needs_no_writable_folder(
    database_url: str, read_only: list[str], tmp_path: Path
) -> None:
    with serving(environment_for(database_url, TMPDIR="/proc"), tmp_path, under=read_only) as service:
        headers = service.headers()
        created = httpx.post(f"{service.url}/api/me/tasks", json={"title": "x"}, headers=headers)

    assert created.status_code == 201


def test_given_a_closed_log_pipe_then_no_request_or_count_is_lost_and_the_pipe_is_reported_once(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    reading, writing = os.pipe()
    with serving(environment_for(database_url, METRICS_PORT=str(port)), tmp_path, stdout=writing) as service:
        os.close(writing)
        before = eventually(port, lambda samples: total(samples, "taskward_workers") == 1)
        os.close(reading)
        with httpx.Client(base_url=service.url, headers=service.headers()) as client:
            answers = [client.get("/api/me/tasks").status_code for _ in range(300)]
            unknown = [client.get("/nowhere").status_code for _ in range(300)]
        after = scraped(port)

    assert (set(answers), set(unknown)) == ({200}, {404})
    assert (
        total(after, COUNT, status=200, route=LIST_ROUTE) - total(before, COUNT, status=200, route=LIST_ROUTE)
        == 300
    )
    assert total(after, COUNT, status=404) - total(before, COUNT, status=404) == 300
    assert service.process.returncode == 0
    assert service.log.read_text().splitlines() == [NOTICE]


def test_given_a_closed_log_pipe_then_the_main_process_ends_with_status_0(
    database_url: str, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    with serving(environment_for(database_url), tmp_path, stdout=writing) as service:
        os.close(writing)
        os.close(reading)
        (worker,) = psutil.Process(service.process.pid).children()
        worker.kill()  # which the main process logs
        wait_until(lambda: GONE in service.log.read_text(), seconds=RESPONSE_TIMEOUT)
        wait_until(lambda: responds(f"{service.url}/health"), seconds=RESPONSE_TIMEOUT, pause=0.05)

    assert service.process.returncode == 0
    assert set(service.log.read_text().splitlines()) == {NOTICE}


def test_a_worker_is_replaced_even_without_standard_error(database_url: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    both = ("sh", "-c", 'exec "$@" 2>&1', "sh")
    with serving(environment_for(database_url), tmp_path, stdout=writing, under=both) as service:
        os.close(writing)
        os.close(reading)
        (worker,) = psutil.Process(service.process.pid).children()
        worker.kill()
        worker.wait(5)
        wait_until(lambda: responds(f"{service.url}/health"), seconds=RESPONSE_TIMEOUT, pause=0.05)

    assert service.process.returncode == 0


def responds(url: str) -> bool:
    """Return whether a GET has the status 200."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_given_a_log_pipe_that_nobody_reads_then_every_request_gets_a_response(
    database_url: str, tmp_path: Path, unbuffered: str
) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    env = environment_for(database_url, PYTHONUNBUFFERED=unbuffered)
    with serving(env, tmp_path, stdout=writing) as service:
        os.close(writing)
        with httpx.Client(base_url=service.url, headers=service.headers(), timeout=10) as client:
            answered = [client.get("/api/me/tasks").status_code for _ in range(100)]
        wait_until(lambda: GONE in service.log.read_text(), seconds=RESPONSE_TIMEOUT)
    os.close(reading)

    assert answered == [200] * 100
    assert service.process.returncode == 0
    assert set(service.log.read_text().splitlines()) == {
        f"{GONE} (nobody reads it): lines are dropped until it can"
    }


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "verb", ["token --user ann", "openapi", "migrate", "purge --older-than 1d", "--version"]
)
def test_given_standard_output_on_a_full_disk_then_a_command_fails_with_one_line(
    database_url: str, tmp_path: Path, verb: str, unbuffered: str
) -> None:
    env = environment_for(database_url, PYTHONUNBUFFERED=unbuffered)

    done = run_script(env, tmp_path, f'exec "$1" -m app {verb} > /dev/full')

    assert done.returncode == 1
    lines_before = 1 if verb.startswith(("migrate", "purge")) else 0  # these two name the database first
    assert done.stderr.splitlines()[lines_before:] == [
        "app: standard output cannot be written (No space left on device)"
    ]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_given_standard_output_on_a_full_disk_then_the_service_serves_and_reports_only_the_disk(
    database_url: str, tmp_path: Path, unbuffered: str
) -> None:
    env = environment_for(database_url, PYTHONUNBUFFERED=unbuffered)
    full = os.open("/dev/full", os.O_WRONLY)
    with serving(env, tmp_path, stdout=full) as service:
        served = httpx.get(f"{service.url}/api/me/tasks", headers=service.headers()).status_code
    os.close(full)

    assert (served, service.process.returncode) == (200, 0)
    assert set(service.log.read_text().splitlines()) == {
        f"{GONE} (No space left on device): lines are dropped until it can"
    }
