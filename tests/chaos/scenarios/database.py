"""The database goes away, or stands still."""

import signal
import time

import psutil

from tests.faults.judging import BUSY, Allowed
from tests.faults.locking import locked
from tests.faults.row import row
from tests.faults.scene import Scene

DOWN = 2.0  # seconds
STOPPED = 8.0  # seconds

TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'taskward' AND datname = '{}'"
IDLE = TERMINATE + " AND state = 'idle'"
WAITING = TERMINATE + " AND wait_event_type = 'Lock'"


@row("idle connections terminated", Allowed(outage=BUSY, slowest=2.0, during=1.0))
def idle_terminated(scene: Scene) -> None:
    with scene.serving() as service, scene.under_load(service) as load, scene.fault():
        ended = 0
        for _ in range(5):
            scene.background.run(load.pause())
            ended += int(scene.sql(IDLE.format(scene.database), "postgres"))
            time.sleep(0.1)  # they have ended; who asks in that moment is in the next row
            scene.background.run(load.resume())
            time.sleep(0.3)
        scene.promise(ended >= 5, f"{ended} connections were ended")


@row("terminated in the middle of a query", Allowed(outage=BUSY, slowest=2.0, during=0.5, reads=1.0))
def terminated_mid_query(scene: Scene) -> None:
    with scene.serving() as service, scene.under_load(service), scene.fault():
        ended = 0
        for _ in range(4):
            with locked(scene, "SHARE", 0.5):  # writes wait for it, reads do not
                time.sleep(0.3)
                ended += int(scene.sql(WAITING.format(scene.database), "postgres"))
        for _ in range(10):
            scene.sql(TERMINATE.format(scene.database), "postgres")
            time.sleep(0.1)
        scene.promise(
            ended >= 4, f"{ended} queries were ended while they waited, then all connections ten times"
        )


@row("killed (pg_ctl stop -m immediate) and started", Allowed(outage=DOWN + 2.5, slowest=5.5, back=2.0))
def killed(scene: Scene) -> None:
    with scene.serving() as service, scene.under_load(service, after=3.2), scene.fault():
        scene.postgres.stop(signal.SIGQUIT)
        time.sleep(DOWN)
        scene.postgres.start()


@row("all of PostgreSQL stopped (SIGSTOP) for 8 s", Allowed(outage=STOPPED + 1.0, slowest=5.5, back=1.0))
def paused(scene: Scene) -> None:
    with scene.serving() as service, scene.under_load(service, after=2.2):
        postmaster = psutil.Process(scene.postgres.process.pid if scene.postgres.process else 0)
        with scene.fault():
            postmaster.suspend()  # first, so that it starts nobody else
            everyone = [*postmaster.children(recursive=True), postmaster]
            for process in everyone:
                process.suspend()
            time.sleep(STOPPED)
            for process in everyone:
                process.resume()
