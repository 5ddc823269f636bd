"""A long run without a fault: memory, descriptors and connections must not grow."""

import time
from typing import Final

from tests.chaos.harness import Harness
from tests.chaos.judge import Allowed
from tests.chaos.load import Load
from tests.chaos.scenario import scenario
from tests.support.processes import descriptors, memory

RATE: Final = 900  # requests a second at most, which leaves two cores some room
PEOPLE: Final = 32
GROWTH: Final = 1.05  # allowed ratio of the memory at the end to the memory after warming up


@scenario("very many requests at a steady rate", Allowed(outage=2.0, slowest=3.0, share_during=1.0))
def endurance(harness: Harness) -> None:
    total, warm = (300_000, 50_000) if harness.long else (8_000, 4_000)
    with harness.serving(settings={"LOG_LEVEL": "error"}) as service:
        # Nothing fails: `fault` marks only the time that is measured.
        with harness.under_load(service, people=PEOPLE, pace=PEOPLE / RATE) as load, harness.fault():
            wait_for(load, warm)
            warm_memory, warm_open = memory(service), descriptors(service)
            wait_for(load, total)
            growth = memory(service) / warm_memory
            more = descriptors(service) - warm_open
            connections = int(
                harness.sql(
                    f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'taskward' AND datname = '{harness.database}'"
                )
            )
        harness.promise(
            growth <= GROWTH, f"memory {warm_memory:.0f} MB after {warm:,}, {growth - 1:+.1%} after {total:,}"
        )
        harness.promise(more <= 10, f"{more:+d} descriptors (a pool of 10 may still fill)")
        harness.promise(connections <= 10, f"{connections} connections to the database (limit: 10)")


def wait_for(load: Load, count: int) -> None:
    """Wait until `count` responses have arrived."""
    while load.count < count:
        time.sleep(0.05)
