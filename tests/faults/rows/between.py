"""What stands between the service and its database: a pooler, a wire."""

import time

from tests.faults.judging import Allowed
from tests.faults.proxy import proxy_to
from tests.faults.row import row
from tests.faults.scene import Scene
from tests.pgbouncer import PgBouncer

DOWN = 2.0  # seconds
HUNG = 7.0  # seconds
DRIPPING = 5.0  # seconds


@row("PgBouncer killed and restarted", Allowed(outage=DOWN + 2.5, slowest=5.5, back=2.0))
def pooler_killed(scene: Scene) -> None:
    with PgBouncer(scene.database_url, scene.folder / "pooler") as pooler, scene.serving(through(pooler)) as service:
        with scene.under_load(service):
            with scene.fault():
                pooler.kill()
                time.sleep(DOWN)
                pooler.start()


@row("pooler in transaction mode, 4 processes", Allowed(outage=0.5, slowest=2.0, during=1.0))
def pooler_shared(scene: Scene) -> None:
    pooler = PgBouncer(scene.database_url, scene.folder / "pooler", server_connections=3)
    with pooler, scene.serving(through(pooler), WEB_CONCURRENCY="4") as service:
        with scene.under_load(service, people=24), scene.fault():
            time.sleep(15.0 if scene.long else 5.0)


@row("the wire to the database hangs for 7 s", Allowed(outage=HUNG + 1.0, slowest=5.5, back=1.0))
def wire_hangs(scene: Scene) -> None:
    with scene.background.entered(proxy_to(scene.postgres.port)) as wire:
        url = scene.database_url.replace(f":{scene.postgres.port}/", f":{wire.port}/")
        with scene.serving(url) as service, scene.under_load(service, after=3.0):
            with scene.fault():
                wire.behaviour = "hold"
                time.sleep(HUNG)
                wire.behaviour = "pass"


@row("the wire drips, a byte in 50 ms", Allowed(outage=DRIPPING + 2.0, slowest=5.5, back=1.0))
def wire_drips(scene: Scene) -> None:
    with scene.background.entered(proxy_to(scene.postgres.port)) as wire:
        url = scene.database_url.replace(f":{scene.postgres.port}/", f":{wire.port}/")
        with scene.serving(url) as service, scene.under_load(service, after=3.0):
            with scene.fault():
                wire.behaviour = "drip"
                time.sleep(DRIPPING)
                wire.behaviour = "pass"


def through(pooler: PgBouncer) -> str:
    """Return the address, saying what it leads to."""
    return f"{pooler.url}?pgbouncer=true"
