"""The service's own processes end, and are replaced."""

import os
import signal
import time
from contextlib import ExitStack
from functools import partial

import psutil

from dev.postgres import free_port
from tests.chaos.answers import REFUSED
from tests.chaos.harness import Harness, is_up, port_of
from tests.chaos.judge import BUSY_SECONDS, OK_STATUSES, STATUSES_IF_KILLED, STATUSES_IN_OUTAGE, Allowed
from tests.chaos.proxy import Proxy, proxy_to
from tests.chaos.scenario import scenario
from tests.support.processes import workers
from tests.support.servers.service import Service
from tests.support.waiting import wait_until

START = 5.0  # seconds that a process may take to start on a busy machine
ORPHANED = 4.0  # seconds: a worker checks each second that its main process is alive, then ends its requests
DELAY = 1  # seconds of SHUTDOWN_DELAY


@scenario(
    "SIGTERM, and started again",
    Allowed(outage=START, slowest=5.0, share_during=0.0, answers=STATUSES_IN_OUTAGE | {REFUSED}),
)
def sigterm(harness: Harness) -> None:
    settings = {"PORT": str(free_port()), "SHUTDOWN_DELAY": "0"}
    with ExitStack() as stack:
        first = stack.enter_context(harness.serving(settings=settings))
        with harness.under_load(first), harness.fault():
            first.process.send_signal(signal.SIGTERM)
            code = first.process.wait(15)
            harness.promise(code == 0, f"exit status {code}")
            stack.enter_context(harness.serving(settings=settings))


@scenario(
    "the only worker killed (SIGKILL)",
    Allowed(outage=START, slowest=5.0, answers=STATUSES_IF_KILLED, back=3.0),
)
def worker_killed(harness: Harness) -> None:
    with harness.serving() as service:
        before = workers(service)
        with harness.under_load(service, after=4.0):
            with harness.fault():
                os.kill(before[0].pid, signal.SIGKILL)
            wait_until(lambda: is_up(service.url))
        after = workers(service)
        replaced = len(after) == len(before) and after[0].pid != before[0].pid
        harness.promise(replaced, "the worker was replaced" if replaced else "the worker was not replaced")


@scenario(
    "the main process killed (SIGKILL), and started again",
    Allowed(outage=START + 2.0, slowest=5.0, answers=STATUSES_IF_KILLED),
)
def main_killed(harness: Harness) -> None:
    settings = {"PORT": str(free_port())}
    with ExitStack() as stack:
        first = stack.enter_context(harness.serving(settings=settings))
        orphans = workers(first)
        try:
            with harness.under_load(first), harness.fault():
                first.process.kill()
                first.process.wait()
                _, alive = psutil.wait_procs(orphans, timeout=ORPHANED)
                harness.promise(
                    not alive,
                    f"{ORPHANED:g} s after the main process was killed, {len(alive)} workers were left",
                )
                stack.enter_context(harness.serving(settings=settings))
        finally:
            for process in psutil.wait_procs(orphans, timeout=0)[1]:
                process.kill()


@scenario(
    "two processes behind a TCP proxy, replaced in turn",
    Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0, answers=OK_STATUSES),
)
def rolling(harness: Harness) -> None:
    with ExitStack() as stack:

        def another(name: str) -> Service:
            return stack.enter_context(harness.serving(folder=name, settings={"SHUTDOWN_DELAY": str(DELAY)}))

        old = [another("a"), another("b")]
        proxy = stack.enter_context(harness.background.entered(proxy_to(*map(port_of, old))))
        with harness.under_load(proxy.port), harness.fault():
            running = list(old)
            for number, leaving in enumerate(old):
                running.append(another(f"new-{number}"))
                update_targets(proxy, running)
                leaving.process.send_signal(signal.SIGTERM)
                seconds = wait_until(partial(is_unready, leaving), pause=0.05)
                harness.promise(seconds <= DELAY, f"not ready {seconds:.2f} s after SIGTERM")
                running.remove(leaving)
                update_targets(proxy, running)
                harness.promise((code := leaving.process.wait(15)) == 0, f"exit status {code}")
                time.sleep(0.5)


def update_targets(proxy: Proxy, services: list[Service]) -> None:
    """Send new connections to the processes that report ready, as a balancer does."""
    wait_until(lambda: bool(services) and is_up(services[-1].url, "/health/ready"))
    proxy.aim([port_of(service) for service in services if is_up(service.url, "/health/ready")])


def is_unready(service: Service) -> bool:
    """Return whether `/health/ready` of a service is not 200."""
    return not is_up(service.url, "/health/ready")
