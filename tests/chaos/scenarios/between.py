"""What stands between the service and its database: a pooler, a wire."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.answers import UNKNOWN
from tests.faults.judging import BUSY, Allowed
from tests.faults.proxy import Proxy, proxy_to
from tests.faults.row import row
from tests.faults.scene import Scene
from tests.pgbouncer import PgBouncer
from tests.service import Service

DOWN = 2.0  # seconds
HUNG = 6.5  # seconds
DRIPPING = 4.0  # seconds


@row("PgBouncer killed and restarted", Allowed(outage=DOWN + 2.5, slowest=5.5, back=2.0))
def pooler_killed(scene: Scene) -> None:
    pooler = PgBouncer(scene.database_url, scene.folder / "pooler")
    with (
        pooler,
        scene.serving(through(pooler)) as service,
        scene.under_load(service, after=3.2),
        scene.fault(),
    ):
        pooler.kill()
        time.sleep(DOWN)
        pooler.start()


@row("pooler in transaction mode, 4 processes", Allowed(outage=BUSY, slowest=2.0, during=1.0))
def pooler_shared(scene: Scene) -> None:
    pooler = PgBouncer(scene.database_url, scene.folder / "pooler", server_connections=3)
    settings = {"WEB_CONCURRENCY": "4"}
    with (
        pooler,
        scene.serving(through(pooler), settings) as service,
        scene.under_load(service, people=24),
        scene.fault(),
    ):
        time.sleep(15.0 if scene.long else 4.0)


@row("the wire to the database hangs", Allowed(outage=HUNG + 1.0, slowest=5.5, back=1.0))
def wire_hangs(scene: Scene) -> None:
    with wired(scene) as (wire, service), scene.under_load(service, after=2.5), scene.fault():
        wire.behaviour = "hold"
        time.sleep(HUNG)
        wire.behaviour = "pass"


@row("the wire drips, a byte in 50 ms", Allowed(outage=DRIPPING + 2.0, slowest=5.5, back=1.0))
def wire_drips(scene: Scene) -> None:
    with wired(scene) as (wire, service), scene.under_load(service, after=2.5), scene.fault():
        wire.behaviour = "drip"
        time.sleep(DRIPPING)
        wire.behaviour = "pass"


@row(
    "what was done is not confirmed: answers lost, then cut",
    Allowed(outage=1.5, slowest=3.0, during=0.3, reads=1.0),
)
def wire_cut(scene: Scene) -> None:
    with wired(scene) as (wire, service), scene.under_load(service), scene.fault():
        for _ in range(5):
            wire.behaviour = "mute"
            time.sleep(0.3)
            wire.behaviour = "pass"
            scene.background.run(wire.cut())
            time.sleep(0.3)
        unknown = sum(each.status == UNKNOWN for each in scene.load.answers)
        scene.promise(unknown > 0, f"{unknown} writes were told as of unknown outcome")


@contextmanager
def wired(scene: Scene) -> Iterator[tuple[Proxy, Service]]:
    """Serve, over a wire to the database that can be played with."""
    with scene.background.entered(proxy_to(scene.postgres.port)) as wire:
        url = scene.database_url.replace(f":{scene.postgres.port}/", f":{wire.port}/")
        with scene.serving(url) as service:
            yield wire, service


def through(pooler: PgBouncer) -> str:
    """Return the address, saying what it leads to."""
    return f"{pooler.url}?pgbouncer=true"
