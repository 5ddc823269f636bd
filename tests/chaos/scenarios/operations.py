"""SIGTERM during the start, a closed log pipe, a worker that is killed several times, a store with a wrong password."""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress

import httpx
import psutil
import redis

from dev.postgres import free_port
from tests.chaos.harness import Harness, is_up
from tests.chaos.judge import BUSY_SECONDS, OK_STATUSES, STATUSES_IF_KILLED, Allowed
from tests.chaos.scenario import scenario
from tests.conftest import environment_for
from tests.support.metrics import scraped, total
from tests.support.processes import workers
from tests.support.servers.redis import store_in
from tests.support.servers.service import serving
from tests.support.waiting import wait_until

STOPPED = 2.0  # seconds in which the process must exit after SIGTERM, at any moment of its start
AFTER = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)  # seconds from the start to SIGTERM
APART = 6.0
"""Seconds between two kills. If the only worker dies again within 5.5 s, granian ends the service."""
REQUESTS = 200  # sent after the log reader is gone
COUNT = "taskward_http_request_duration_seconds_count"
UNNOTICED = Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0, answers=OK_STATUSES)


@scenario("SIGTERM at start", UNNOTICED)
def sigterm_at_start(harness: Harness) -> None:
    env = environment_for(harness.database_url, METRICS_PORT=str(free_port()), WEB_CONCURRENCY="2")
    (place := harness.folder / "starting").mkdir()
    took = []
    with harness.serving() as service, harness.under_load(service), harness.fault():
        for after in AFTER:
            with serving(env, place, wait=False) as starting:
                time.sleep(after)
                starting.process.send_signal(signal.SIGTERM)
                began = time.monotonic()
                with suppress(subprocess.TimeoutExpired):
                    starting.process.wait(STOPPED)
                took.append(time.monotonic() - began)
    harness.promise(
        max(took) < STOPPED,
        f"{len(took)} starts stopped within {max(took):.2f} s (limit: {STOPPED:g} s)",
    )


@scenario("log reader gone", UNNOTICED)
def log_reader_gone(harness: Harness) -> None:
    port, (reading, writing) = free_port(), os.pipe()
    env = environment_for(harness.database_url, RATE_LIMIT="off", METRICS_PORT=str(port))
    ended = threading.Event()
    reader = threading.Thread(target=read_until, args=(reading, ended))
    reader.start()
    with serving(env, harness.folder, stdout=writing) as service:
        os.close(writing)
        with harness.under_load(service):
            ended.set()
            with harness.fault():
                reader.join()
                time.sleep(3.0)
        before = total(scraped(port), COUNT)
        for _ in range(REQUESTS):
            httpx.get(f"{service.url}/nowhere")
        counted = total(scraped(port), COUNT) - before
    lines = service.log.read_text().splitlines()
    harness.promise(counted == REQUESTS, f"{counted:.0f} of {REQUESTS} requests were counted")
    harness.promise(
        len(lines) == 1 and "lines are dropped" in lines[0], f"{len(lines)} lines on standard error"
    )


def read_until(descriptor: int, ended: threading.Event) -> None:
    """Read a pipe until the event is set or the pipe ends, and close it."""
    while not ended.is_set() and os.read(descriptor, 65536):
        pass
    os.close(descriptor)


@scenario(
    "worker killed again and again", Allowed(outage=5.0, slowest=5.0, answers=STATUSES_IF_KILLED, back=3.0)
)
def worker_killed_again(harness: Harness) -> None:
    port, kills = free_port(), 5 if harness.long else 3
    with harness.serving(settings={"METRICS_PORT": str(port)}) as service:
        with harness.under_load(service, after=4.0), harness.fault():
            for number in range(1, kills + 1):
                (worker,) = workers(service)
                worker.kill()
                psutil.wait_procs([worker], timeout=5)
                wait_until(lambda: is_up(service.url))
                if number < kills:
                    time.sleep(APART)
        counted = total(scraped(port), "taskward_worker_restarts_total")
    lines = service.log.read_text().count('"event": "worker replaced"')
    harness.promise(counted == kills, f"{counted:.0f} of {kills} deaths were counted")
    harness.promise(lines == kills, f"the log has {lines} lines `worker replaced`")


@scenario("store with a wrong password", UNNOTICED)
def store_wrong_password(harness: Harness) -> None:
    port = free_port()
    (place := harness.folder / "store").mkdir()
    with store_in(place, "--requirepass", "old") as store:
        settings = {
            "METRICS_PORT": str(port),
            "RATE_LIMIT": "on",
            "RATE_LIMIT_STORE": f"redis://:new@127.0.0.1:{store.port}",
        }
        with harness.serving(settings=settings) as service, harness.under_load(service), harness.fault():
            time.sleep(2.0)
            ready = httpx.get(f"{service.url}/health/ready")
            harness.promise(
                (ready.status_code, ready.json().get("rate_limit_store")) == (200, "unavailable"),
                f"/health/ready: {ready.status_code}, rate_limit_store {ready.json().get('rate_limit_store')}",
            )
            with redis.Redis(port=store.port, password="old") as client:
                client.config_set("requirepass", "new")
            shared = wait_until(lambda: total(scraped(port), "taskward_rate_limit_store_up") == 1)
            harness.promise(
                shared < 4,
                f"counted in the store {shared:.1f} s after the store accepted the service's password",
            )
    cause = "RATE_LIMIT_STORE has a user or password that 127.0.0.1 refuses"
    log = service.log.read_text()
    harness.promise(log.count(f"warning: {cause}") == 1, "the start printed the reason")
    harness.promise(log.count(f'"reason": "{cause}"') == 1, "the log has the reason once")
