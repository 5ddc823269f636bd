"""The database is there, but its locks, its disk or its mode keep statements from being done."""

import statistics
import time
from typing import Any

import httpx

from dev.postgres import LOGIN
from tests.chaos.harness import Harness
from tests.chaos.judge import BUSY_SECONDS, Allowed
from tests.chaos.locks import locked
from tests.chaos.scenario import scenario
from tests.chaos.small_disk import command_with_small_disk, filled

HELD = 6.0  # seconds
SETTLED = 1.5  # seconds after which every write fails, on a full disk when no page has free space any more
READS_WORK = Allowed(outage=BUSY_SECONDS, slowest=2.0, share_of_reads=1.0, nothing_new_from=SETTLED, back=0.5)


@scenario("a lock holds every connection", Allowed(outage=HELD + 1.0, slowest=5.5, back=1.0))
def pool_exhausted(harness: Harness) -> None:
    with (
        harness.serving() as service,
        harness.under_load(service, people=24),
        harness.fault(),
        locked(harness, "ACCESS EXCLUSIVE", HELD),
    ):
        time.sleep(0.5)
        with httpx.Client(base_url=service.url, timeout=10) as client:
            bad_tokens = [
                timed(client, "GET", "/api/me/tasks", headers={"authorization": f"Bearer no.such.{n}"})
                for n in range(200)
            ]
            others = [timed(client, "GET", "/health"), timed(client, "OPTIONS", "/api/me/tasks")]
        median = statistics.median(took for _, took in bad_tokens) * 1000
        harness.promise({status for status, _ in bad_tokens} == {401}, "200 bad tokens are answered 401")
        harness.promise(median <= 100, f"median {median:.1f} ms (limit: 100 ms)")
        figures = ", ".join(f"{status} in {took * 1000:.1f} ms" for status, took in others)
        harness.promise(
            all(status < 300 and took < 0.5 for status, took in others), f"/health and OPTIONS: {figures}"
        )


@scenario("disk full (53100)", READS_WORK)
def disk_full(harness: Harness) -> None:
    small = harness.folder / "small"
    with harness.cluster.copy(harness.folder / "crowded", *command_with_small_disk(small)) as server:
        server.query(f"CREATE TABLESPACE small LOCATION '{small}'")
        server.query(f"CREATE DATABASE crowded OWNER {LOGIN} TABLESPACE small")
        harness.use(server, server.url_of("crowded"))
        with (
            harness.serving() as service,
            harness.under_load(service),
            harness.fault(),
            filled(server, small),
        ):
            time.sleep(SETTLED + 3.0)


@scenario("read-only (25006)", READS_WORK, own_server=True)
def read_only(harness: Harness) -> None:
    with harness.serving() as service, harness.under_load(service):
        try:
            with harness.fault():
                set_read_only(harness, "on")
                time.sleep(SETTLED + 2.0)
                set_read_only(harness, "off")
        finally:
            set_read_only(harness, "off")


def set_read_only(harness: Harness, value: str) -> None:
    """Change the setting of the whole server, open sessions included."""
    harness.sql(f"ALTER SYSTEM SET default_transaction_read_only = {value}", "postgres")
    harness.sql("SELECT pg_reload_conf()", "postgres")


def timed(client: httpx.Client, method: str, path: str, **how: Any) -> tuple[int, float]:
    """Send one request; return the status and the seconds."""
    start = time.monotonic()
    status = client.request(method, path, **how).status_code
    return status, time.monotonic() - start
