"""Many large bodies at once, complete or unfinished: the memory that they use is bounded."""

import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest

from tests.abuse.bodies import BATCHES
from tests.abuse.hog_process import send
from tests.abuse.honest import honest_person
from tests.abuse.readers import post
from tests.abuse.remains import POOL_DESCRIPTORS
from tests.abuse.sockets import address_of, count_answered
from tests.support.factories import someone
from tests.support.processes import descriptors, memory
from tests.support.servers.service import Service

pytestmark = [pytest.mark.server, pytest.mark.quiet]  # an honest person's worst time is measured

LENGTH = 2 * 1024 * 1024  # bytes of a body, all that a batch may have
SENT = 1_900_000  # bytes of an unfinished body
LONG = {"op": "create", "title": "x", "description": "y" * 9_500}
BODY_TIMEOUT = 10  # seconds
PEOPLE = 16


@contextmanager
def sending(service: Service, times: int, path: str, user: str) -> Iterator[list[socket.socket]]:
    """Send all but the end of a body on each of `times` connections, and keep these open."""
    head = (
        f"POST /api/me/tasks{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {service.token(user)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {LENGTH}\r\n\r\n"
    )
    with ExitStack() as stack:
        senders = []
        for _ in range(times):
            sender = stack.enter_context(socket.create_connection(address_of(service), timeout=20))
            with suppress(ConnectionError):  # the service answered and closed before everything was sent
                sender.sendall(head.encode() + b" " * SENT)
            senders.append(sender)
        yield senders


def count_statuses(senders: list[socket.socket], patience: float = 0.05) -> Counter[str]:
    """Count the statuses that arrive within `patience` seconds for each; "none" if nothing arrives."""
    found = Counter[str]()
    for sender in senders:
        sender.settimeout(patience)
        try:
            found[sender.recv(12).decode()[9:] or "closed"] += 1
        except TimeoutError:
            found["none"] += 1
        except ConnectionError:
            found["closed"] += 1  # reset: the kernel has dropped the response
    return found


def test_the_largest_batches_of_16_people_at_once_use_less_than_160_mb(default_service: Service) -> None:
    people, results, peaks = [someone("hog") for _ in range(PEOPLE)], Counter[str](), []
    held_before, done = memory(default_service), threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peaks.append(memory(default_service) - held_before)

    with honest_person(default_service) as honest, ThreadPoolExecutor(PEOPLE + 1) as threads:
        watching = threads.submit(watch)
        results.update(threads.map(lambda person: result_of_batch(default_service, person), people))
        done.set()
        watching.result()

    assert results.keys() <= {"200", "too-busy"}
    assert results["200"] >= 1
    assert max(peaks) < 160  # MB; it was 214 when all batches were processed at once
    assert honest.share_answered == 1


def result_of_batch(service: Service, user: str) -> str:
    """Send the largest batch, and return the result as `send` does."""
    with closing(http.client.HTTPConnection(*address_of(service), timeout=60)) as connection:
        return send(connection, "/batch", BATCHES["emoji"], service.token(user))


def test_unfinished_bodies_of_one_person_delay_only_that_person(default_service: Service) -> None:
    hog = someone("hog")
    open_before, held_before = descriptors(default_service), memory(default_service)

    with sending(default_service, 60, "/batch", hog) as senders, honest_person(default_service) as honest:
        # After 56 refusals, the limit counts the other four bodies. Only then the small body is sent.
        count_answered(senders, within=5, enough=56)
        held = memory(default_service) - held_before
        small = post(default_service, "", {"title": "x"}, hog)
        large = post(default_service, "/batch", {"operations": [LONG] * 100}, hog)
        at_once = count_statuses(senders)
        later = count_statuses(senders, patience=3 * BODY_TIMEOUT)
    after = post(default_service, "/batch", {"operations": [LONG] * 100}, hog)

    assert at_once["none"] == 4  # bodies of 2 MB; the limit of a person is 8 MB
    assert at_once["429"] + at_once["closed"] == 56
    assert later["408"] == 4
    assert held < 60  # MB
    assert (small.status_code, after.status_code) == (201, 200)
    assert large.status_code == 429
    assert large.json()["type"] == "/problems/bodies-under-way"
    assert large.headers["retry-after"] == "1"
    assert (honest.share_answered, honest.worst < 3) == (1, True)
    assert descriptors(default_service) <= open_before + POOL_DESCRIPTORS


def test_large_bodies_of_all_people_have_a_limit_and_small_ones_are_read_as_usual(
    default_service: Service,
) -> None:
    held_before = memory(default_service)

    with ExitStack() as stack, honest_person(default_service) as honest:
        senders = [
            sender
            for _ in range(12)
            for sender in stack.enter_context(sending(default_service, 4, "/batch", someone("hog")))
        ]
        time.sleep(1)
        held = memory(default_service) - held_before
        refused = post(default_service, "/batch", {"operations": [LONG] * 100}, someone())
        at_once = count_statuses(senders)

    assert 30 <= at_once["none"] <= 36  # bodies of 2 MB; the limit of all people is 64 MB
    assert held < 150  # MB
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/too-busy")
    assert (honest.share_answered, honest.worst < 3) == (1, True)
