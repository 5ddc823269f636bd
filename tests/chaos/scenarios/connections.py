"""Connections that send nothing, and connections whose readers do not read."""

import time
from typing import Final

from tests.abuse.readers import LARGE_LIST, asking, hoarder, statuses
from tests.abuse.sockets import connected
from tests.faults.answers import Answer, share_well
from tests.faults.judging import BUSY, Allowed
from tests.faults.row import row
from tests.faults.rows.keys import p99
from tests.faults.scene import Scene
from tests.faults.table import percent
from tests.processes import descriptors, memory

IDLE: Final = 1_500
UNFINISHED: Final = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Filling: " + b"a" * 15_000


@row(
    "idle connections: 1,500 that send nothing, 1,500 that never end a head",
    Allowed(outage=BUSY, slowest=2.0, during=1.0),
)
def idle_connections(scene: Scene) -> None:
    with scene.serving() as service, scene.under_load(service):
        time.sleep(2.0)
        open_before, held_before = descriptors(service), memory(service)
        with scene.fault():
            with connected(service, IDLE), connected(service, IDLE, sends=UNFINISHED):
                time.sleep(3.0)
                taken = descriptors(service) - open_before
            time.sleep(1.0)
        scene.promise(taken >= 2 * IDLE, f"{taken} connections were open")
        more, held = descriptors(service) - open_before, memory(service) - held_before
        scene.promise(
            more <= 12, f"{more} descriptors more are open afterwards (a pool of 10 may still fill)"
        )
        scene.promise(held < 120, f"{held:.0f} MB more are held")
        scene.notes.append(others(scene))


@row(
    "slow readers: 60 of one person's large page, 60 of the documentation",
    Allowed(outage=BUSY, slowest=2.0, during=1.0),
)
def slow_readers(scene: Scene) -> None:
    with scene.serving() as service:
        hog = hoarder(service)
        with scene.under_load(service):
            time.sleep(2.0)
            open_before, held_before = descriptors(service), memory(service)
            with scene.fault():
                with (
                    asking(service, 60, LARGE_LIST, hog) as of_one,
                    asking(service, 60, "/docs/swagger-ui-bundle.js") as of_strangers,
                ):
                    answered = statuses(of_one), statuses(of_strangers)
                    time.sleep(3.0)
                    held = memory(service) - held_before
                time.sleep(1.0)
            more = descriptors(service) - open_before
            scene.promise(
                answered[0] == {200: 4, 429: 56}, f"the person's 60 are answered {dict(answered[0])}"
            )
            scene.promise(answered[1][200] < 20, f"the strangers' 60 {dict(answered[1])}")
            scene.promise(held < 60, f"{held:.0f} MB more are held meanwhile")
            scene.promise(
                more <= 12, f"{more} descriptors more are open afterwards (a pool of 10 may still fill)"
            )
            scene.notes.append(others(scene))


def others(scene: Scene) -> str:
    """Tell how everybody else fared before the fault and during it."""

    def fared(answers: list[Answer]) -> str:
        return f"{percent(share_well(answers))} 2xx, p99 {p99(answers) * 1000:.0f} ms"

    began = scene.record.began
    before = [each for each in scene.load.answers if each.told < began]
    return f"others: {fared(before)} before; {fared([each for each in scene.load.answers if each.asked >= began])} during"
