"""Nothing happens, for long: memory, descriptors and connections stay what they are."""

import time
from typing import Final

from tests.faults.judging import Allowed
from tests.faults.load import Load
from tests.faults.row import row
from tests.faults.scene import Scene
from tests.processes import descriptors, memory

RATE: Final = 900  # requests a second at most, which leaves two cores some room
PEOPLE: Final = 32
GROWTH: Final = 1.05  # of memory, after the warming up


@row("very many requests at a steady rate", Allowed(outage=2.0, slowest=3.0, during=1.0))
def endurance(scene: Scene) -> None:
    total, warm = (300_000, 50_000) if scene.long else (8_000, 4_000)
    with scene.serving(settings={"LOG_LEVEL": "error"}) as service:
        with scene.under_load(service, people=PEOPLE, pace=PEOPLE / RATE) as load, scene.fault():
            wait_for(load, warm)
            warm_memory, warm_open = memory(service), descriptors(service)
            wait_for(load, total)
            growth = memory(service) / warm_memory
            more = descriptors(service) - warm_open
            connections = int(
                scene.sql(
                    f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'taskward' AND datname = '{scene.database}'"
                )
            )
        scene.promise(
            growth <= GROWTH, f"memory {warm_memory:.0f} MB after {warm:,}, {growth - 1:+.1%} after {total:,}"
        )
        scene.promise(more <= 10, f"{more:+d} descriptors (a pool of 10 may still fill)")
        scene.promise(connections <= 10, f"{connections} connections to the database (10 are allowed)")


def wait_for(load: Load, count: int) -> None:
    """Wait for so many answers."""
    while load.count < count:
        time.sleep(0.05)
