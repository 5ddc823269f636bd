"""Connections that send nothing, and clients that do not read responses."""

import time
from typing import Final

from tests.abuse.readers import LARGE_LIST, asking, count_statuses, make_hoarder
from tests.abuse.sockets import connected
from tests.chaos.answers import Answer, share_2xx
from tests.chaos.harness import Harness
from tests.chaos.judge import BUSY_SECONDS, Allowed
from tests.chaos.report import percent
from tests.chaos.scenario import scenario
from tests.chaos.scenarios.keys import p99
from tests.support.processes import descriptors, memory

IDLE: Final = 1_500  # connections
UNFINISHED: Final = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Filling: " + b"a" * 15_000


@scenario(
    "idle connections: 1,500 that send nothing, 1,500 that never end a head",
    Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0),
)
def idle_connections(harness: Harness) -> None:
    with harness.serving() as service, harness.under_load(service):
        time.sleep(2.0)
        open_before, held_before = descriptors(service), memory(service)
        with harness.fault():
            with connected(service, IDLE), connected(service, IDLE, sends=UNFINISHED):
                time.sleep(3.0)
                taken = descriptors(service) - open_before
            time.sleep(1.0)
        # Up to 12 of the descriptors that were open before may be closed: those of the pool, and of the load's clients.
        harness.promise(taken >= 2 * IDLE - 12, f"{taken} connections were open")
        more, held = descriptors(service) - open_before, memory(service) - held_before
        harness.promise(
            more <= 12, f"{more} descriptors more are open afterwards (a pool of 10 may still fill)"
        )
        harness.promise(held < 120, f"{held:.0f} MB more are held")
        harness.notes.append(figures_of_others(harness))


@scenario(
    "slow readers: 60 of one person's large page, 60 of the documentation",
    Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0),
)
def slow_readers(harness: Harness) -> None:
    with harness.serving() as service:
        hog = make_hoarder(service)
        with harness.under_load(service):
            time.sleep(2.0)
            open_before, held_before = descriptors(service), memory(service)
            with harness.fault():
                with (
                    asking(service, 60, LARGE_LIST, hog) as of_one,
                    asking(service, 60, "/docs/swagger-ui-bundle.js") as of_strangers,
                ):
                    statuses_of_one = count_statuses(of_one)
                    statuses_of_strangers = count_statuses(of_strangers)
                    time.sleep(3.0)
                    held = memory(service) - held_before
                time.sleep(1.0)
            more = descriptors(service) - open_before
            harness.promise(
                statuses_of_one == {200: 4, 429: 56}, f"the person's 60 are answered {dict(statuses_of_one)}"
            )
            harness.promise(
                statuses_of_strangers[200] < 20, f"the strangers' 60 {dict(statuses_of_strangers)}"
            )
            harness.promise(held < 60, f"{held:.0f} MB more are held during the fault")
            harness.promise(
                more <= 12, f"{more} descriptors more are open afterwards (a pool of 10 may still fill)"
            )
            harness.notes.append(figures_of_others(harness))


def figures_of_others(harness: Harness) -> str:
    """Return a sentence: the share of 2xx and the p99 of the people under load, before the fault and during it."""

    def figures(answers: list[Answer]) -> str:
        return f"{percent(share_2xx(answers))} 2xx, p99 {p99(answers) * 1000:.0f} ms"

    began = harness.record.began
    before = [each for each in harness.load.answers if each.answered_at < began]
    during = [each for each in harness.load.answers if each.sent_at >= began]
    return f"others: {figures(before)} before; {figures(during)} during"
