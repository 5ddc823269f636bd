"""The database ends connections, is killed, or stops."""

import signal
import time

import psutil

from tests.chaos.harness import Harness
from tests.chaos.judge import BUSY_SECONDS, Allowed
from tests.chaos.locks import locked
from tests.chaos.scenario import scenario

DOWN = 2.0  # seconds
STOPPED = 8.0  # seconds

TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'taskward' AND datname = '{}'"
IDLE = TERMINATE + " AND state = 'idle'"
WAITING = TERMINATE + " AND wait_event_type = 'Lock'"


@scenario("idle connections terminated", Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0))
def idle_terminated(harness: Harness) -> None:
    with harness.serving() as service, harness.under_load(service) as load, harness.fault():
        ended = 0
        for _ in range(5):
            harness.background.run(load.pause())
            ended += int(harness.sql(IDLE.format(harness.database), "postgres"))
            time.sleep(0.1)  # until they have ended; `terminated_mid_query` has requests in that moment
            harness.background.run(load.resume())
            time.sleep(0.3)
        harness.promise(ended >= 5, f"{ended} connections were ended")


@scenario(
    "terminated in the middle of a query",
    Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=0.5, share_of_reads=1.0),
)
def terminated_mid_query(harness: Harness) -> None:
    with harness.serving() as service, harness.under_load(service), harness.fault():
        ended = 0
        for _ in range(4):
            with locked(harness, "SHARE", 0.5):  # writes wait for it, reads do not
                time.sleep(0.3)
                ended += int(harness.sql(WAITING.format(harness.database), "postgres"))
        for _ in range(10):
            harness.sql(TERMINATE.format(harness.database), "postgres")
            time.sleep(0.1)
        harness.promise(
            ended >= 4, f"{ended} queries were ended while they waited, then all connections ten times"
        )


@scenario(
    "killed (pg_ctl stop -m immediate) and started",
    Allowed(outage=DOWN + 2.5, slowest=5.5, back=2.0),
    own_server=True,
)
def killed(harness: Harness) -> None:
    with harness.serving() as service, harness.under_load(service, after=3.2), harness.fault():
        harness.postgres.stop(signal.SIGQUIT)
        time.sleep(DOWN)
        harness.postgres.start()


@scenario(
    "all of PostgreSQL stopped (SIGSTOP) for 8 s",
    Allowed(outage=STOPPED + 1.0, slowest=5.5, back=1.0),
    own_server=True,
)
def paused(harness: Harness) -> None:
    with harness.serving() as service, harness.under_load(service, after=2.2):
        postmaster = psutil.Process(harness.postgres.process.pid if harness.postgres.process else 0)
        with harness.fault():
            postmaster.suspend()  # first, so that it starts no new process
            processes = [*postmaster.children(recursive=True), postmaster]
            for process in processes:
                process.suspend()
            time.sleep(STOPPED)
            for process in processes:
                process.resume()
