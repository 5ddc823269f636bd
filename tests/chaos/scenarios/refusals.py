"""The database answers, and does not do what it is asked."""

import statistics
import time
from typing import Any

import httpx

from dev.postgres import LOGIN
from tests.faults.judging import BUSY, Allowed
from tests.faults.locking import locked
from tests.faults.row import row
from tests.faults.scene import Scene
from tests.faults.small_disk import filled, in_a_small_place

HELD = 6.0  # seconds
SETTLED = 1.5  # seconds, until what room there is within the pages is used up as well
WORKS = Allowed(outage=BUSY, slowest=2.0, reads=1.0, nothing_new_from=SETTLED, back=0.5)


@row("a lock holds every connection", Allowed(outage=HELD + 1.0, slowest=5.5, back=1.0))
def pool_exhausted(scene: Scene) -> None:
    with (
        scene.serving() as service,
        scene.under_load(service, people=24),
        scene.fault(),
        locked(scene, "ACCESS EXCLUSIVE", HELD),
    ):
        time.sleep(0.5)
        with httpx.Client(base_url=service.url, timeout=10) as client:
            bad = [
                timed(client, "GET", "/api/me/tasks", headers={"authorization": f"Bearer no.such.{n}"})
                for n in range(200)
            ]
            well = [timed(client, "GET", "/health"), timed(client, "OPTIONS", "/api/me/tasks")]
        median = statistics.median(took for _, took in bad) * 1000
        scene.promise({status for status, _ in bad} == {401}, "200 bad tokens are answered 401")
        scene.promise(median <= 100, f"at the median within {median:.1f} ms (100 are promised)")
        scene.promise(
            all(status < 300 and took < 0.5 for status, took in well),
            "/health and OPTIONS: " + ", ".join(f"{status} in {took * 1000:.1f} ms" for status, took in well),
        )


@row("disk full (53100)", WORKS)
def disk_full(scene: Scene) -> None:
    small = scene.folder / "small"
    with scene.cluster.copy(scene.folder / "crowded", *in_a_small_place(small)) as server:
        server.query(f"CREATE TABLESPACE small LOCATION '{small}'")
        server.query(f"CREATE DATABASE crowded OWNER {LOGIN} TABLESPACE small")
        scene.use(server, server.url_of("crowded"))
        with scene.serving() as service, scene.under_load(service), scene.fault(), filled(server, small):
            time.sleep(SETTLED + 3.0)


@row("read-only (25006)", WORKS)
def read_only(scene: Scene) -> None:
    with scene.serving() as service, scene.under_load(service):
        try:
            with scene.fault():
                set_read_only(scene, "on")
                time.sleep(SETTLED + 2.0)
                set_read_only(scene, "off")
        finally:
            set_read_only(scene, "off")


def set_read_only(scene: Scene, value: str) -> None:
    """Switch the whole server, for sessions that are there too."""
    scene.sql(f"ALTER SYSTEM SET default_transaction_read_only = {value}", "postgres")
    scene.sql("SELECT pg_reload_conf()", "postgres")


def timed(client: httpx.Client, method: str, path: str, **how: Any) -> tuple[int, float]:
    """Ask once; return the status and the seconds."""
    start = time.monotonic()
    status = client.request(method, path, **how).status_code
    return status, time.monotonic() - start
