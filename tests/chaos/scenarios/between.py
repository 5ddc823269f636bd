"""Faults between the service and its database: a pooler, the network."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.answers import UNKNOWN
from tests.chaos.harness import Harness
from tests.chaos.judge import BUSY_SECONDS, Allowed
from tests.chaos.proxy import Proxy, proxy_to
from tests.chaos.scenario import scenario
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.servers.service import Service

DOWN = 2.0  # seconds
HUNG = 6.5  # seconds
DRIPPING = 4.0  # seconds


@scenario("PgBouncer killed and restarted", Allowed(outage=DOWN + 2.5, slowest=5.5, back=2.0))
def pooler_killed(harness: Harness) -> None:
    pooler = PgBouncer(harness.database_url, harness.folder / "pooler")
    with (
        pooler,
        harness.serving(url_of(pooler)) as service,
        harness.under_load(service, after=3.2),
        harness.fault(),
    ):
        pooler.kill()
        time.sleep(DOWN)
        pooler.start()


@scenario(
    "pooler in transaction mode, 4 processes", Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0)
)
def pooler_shared(harness: Harness) -> None:
    pooler = PgBouncer(harness.database_url, harness.folder / "pooler", server_connections=3)
    settings = {"WEB_CONCURRENCY": "4"}
    with (
        pooler,
        harness.serving(url_of(pooler), settings) as service,
        harness.under_load(service, people=24),
        harness.fault(),  # only the load: 24 people share three connections
    ):
        time.sleep(15.0 if harness.long else 4.0)


@scenario("the wire to the database hangs", Allowed(outage=HUNG + 1.0, slowest=5.5, back=1.0))
def wire_hangs(harness: Harness) -> None:
    with (
        serving_through_proxy(harness) as (proxy, service),
        harness.under_load(service, after=2.5),
        harness.fault(),
    ):
        proxy.behaviour = "hold"
        time.sleep(HUNG)
        proxy.behaviour = "pass"


@scenario("the wire drips, a byte in 50 ms", Allowed(outage=DRIPPING + 2.0, slowest=5.5, back=1.0))
def wire_drips(harness: Harness) -> None:
    with (
        serving_through_proxy(harness) as (proxy, service),
        harness.under_load(service, after=2.5),
        harness.fault(),
    ):
        proxy.behaviour = "drip"
        time.sleep(DRIPPING)
        proxy.behaviour = "pass"


@scenario(
    "COMMIT succeeds, its reply is lost, then the connection is cut",
    Allowed(outage=1.5, slowest=3.0, share_during=0.3, share_of_reads=1.0),
)
def wire_cut(harness: Harness) -> None:
    with serving_through_proxy(harness) as (proxy, service), harness.under_load(service), harness.fault():
        for _ in range(5):
            proxy.behaviour = "mute"
            time.sleep(0.3)
            proxy.behaviour = "pass"
            harness.background.run(proxy.cut())
            time.sleep(0.3)
        unknown = sum(each.status == UNKNOWN for each in harness.load.answers)
        harness.promise(unknown > 0, f"{unknown} writes got `outcome-unknown`")


@contextmanager
def serving_through_proxy(harness: Harness) -> Iterator[tuple[Proxy, Service]]:
    """Start a service that reaches its database through a proxy."""
    with harness.background.entered(proxy_to(harness.postgres.port)) as proxy:
        url = harness.database_url.replace(f":{harness.postgres.port}/", f":{proxy.port}/")
        with harness.serving(url) as service:
            yield proxy, service


def url_of(pooler: PgBouncer) -> str:
    """Return the URL of the pooler, with the parameter that says it is PgBouncer."""
    return f"{pooler.url}?pgbouncer=true"
