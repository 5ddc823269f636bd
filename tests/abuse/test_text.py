"""Texts and bodies that are expensive to validate, while another client probes `/health`."""

import http.client
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.abuse.bodies import BATCHES, COSTLIEST, REFUSED_BATCHES, REFUSED_BODIES, TASKS, batch_of, to_json
from tests.abuse.hog import hogging
from tests.abuse.honest import Measured, Window, honest_person, measure_windows, until_good
from tests.abuse.sockets import address_of
from tests.support.factories import someone
from tests.support.servers.service import Service

pytestmark = [pytest.mark.server, pytest.mark.quiet]

ROUNDS = 4  # measurements at most, or requests of one body
FAIR_P99 = 0.1  # seconds; a p99 of at most this is fair in any case
JSON = {"content-type": "application/json"}


def send(
    service: Service, method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, float]:
    """Send a request, and return the status and the seconds.

    Not with httpx: the search of the logs records what httpx sends, which takes CPU time from the measured person.
    """
    began = time.monotonic()
    with closing(http.client.HTTPConnection(*address_of(service), timeout=30)) as connection:
        connection.request(method, f"/api/me/tasks{path}", body, {**JSON, **headers})
        answer = connection.getresponse()
        answer.read()
    return answer.status, time.monotonic() - began


def is_at_once(measured: Measured) -> bool:
    return measured.median < 0.1 and measured.worst < 0.3


def with_key(headers: Mapping[str, str]) -> dict[str, str]:
    return {**headers, "idempotency-key": str(uuid4())}


@pytest.mark.parametrize("name", BATCHES)
def test_while_the_largest_batch_is_validated_the_same_worker_sends_other_responses_at_once(
    default_service: Service, name: str
) -> None:
    body, headers, statuses = BATCHES[name], default_service.headers(someone()), list[int]()

    def send_batch() -> Measured:
        with honest_person(default_service, "/health") as measured:
            statuses.append(send(default_service, "POST", "/batch", body, with_key(headers))[0])
        return measured

    rounds = until_good(send_batch, is_at_once, at_most=ROUNDS)

    assert statuses == [200] * len(rounds)
    assert all(measured.share_answered == 1 for measured in rounds)
    assert min(measured.median for measured in rounds) < 0.1
    assert min(measured.worst for measured in rounds) < 0.3  # the machine may be busy in other rounds
    assert max(measured.worst for measured in rounds) < 1.0


def test_while_the_slowest_bodies_are_refused_the_same_worker_sends_other_responses_at_once(
    default_service: Service,
) -> None:
    headers, statuses = default_service.headers(someone()), list[int]()
    update = batch_of({"op": "update", "description": COSTLIEST, "title": "x"}, ids=True)
    attacks = [
        *(("POST", "/batch", body) for body in REFUSED_BATCHES.values()),
        *(("POST", "", body) for body in REFUSED_BODIES.values()),
        *((method, f"/{uuid4()}", body) for method in ("PUT", "PATCH") for body in REFUSED_BODIES.values()),
        *(("POST", f"/{uuid4()}/move", body) for body in REFUSED_BODIES.values()),
        ("POST", "/batch", update),
    ]

    def attack() -> Measured:
        with honest_person(default_service, "/health") as measured:
            statuses.extend(send(default_service, *request, headers)[0] for request in attacks)
        return measured

    rounds = until_good(attack, is_at_once, at_most=3)

    assert set(statuses) == {400, 404, 413}
    assert all(measured.share_answered == 1 for measured in rounds)
    assert min(measured.median for measured in rounds) < 0.1
    assert min(measured.worst for measured in rounds) < 0.3
    assert max(measured.worst for measured in rounds) < 1.0


MARKS = "\u0301\u0327" * 60_000  # 240 KB; a body may have 256 KB
ATTACKS: Mapping[str, Any] = {
    "tags": {"title": "x", "tags": ["a" + MARKS]},
    "title": {"title": "a" + MARKS},
    "description": {"title": "x", "description": "a" + MARKS},
    "500 tags": {"title": "x", "tags": ["a" + MARKS[:200]] * 500},
    "unknown members": {"title": "x", **{f"member{number}": number for number in range(8_000)}},
    "a member with a long name": {"title": "x", "m" * 200_000: 1},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_body_that_takes_longest_to_validate_is_refused_at_once(
    default_service: Service, name: str
) -> None:
    body = to_json(ATTACKS[name])
    headers = default_service.headers(someone())

    with honest_person(default_service, "/health") as measured:
        answers = [send(default_service, "POST", "", body, headers) for _ in range(ROUNDS)]

    assert {status for status, _ in answers} == {400}
    assert all(seconds < 2 for _, seconds in answers)
    assert measured.worst < 1.0


@pytest.mark.parametrize(
    "parameter",
    [
        "q=a" + "%CC%81" * 2_000,
        "tag=a" + "%CC%81" * 2_000,
        "cursor=" + "A" * 8_000,
        "&".join(["x=1"] * 2_000),
    ],
    ids=["q", "tag", "cursor", "many"],
)
def test_the_query_that_takes_longest_to_validate_is_refused_at_once(
    default_service: Service, parameter: str
) -> None:
    with httpx.Client(base_url=default_service.url, headers=default_service.headers(someone())) as client:
        answer = client.get(f"/api/me/tasks?{parameter}")

    assert answer.status_code == 400
    assert answer.elapsed.total_seconds() < 2


@pytest.mark.parametrize(
    ("path", "bodies"),
    [("/batch", BATCHES), ("/batch", REFUSED_BATCHES), ("", TASKS), ("", REFUSED_BODIES)],
    ids=["batches that are done", "refused batches", "large tasks", "refused large bodies"],
)
def test_during_a_flood_of_large_bodies_other_people_keep_their_share_of_cpu(
    default_service: Service, path: str, bodies: Mapping[str, bytes]
) -> None:
    hog = someone("hog")

    measured = measure_windows(
        default_service,
        lambda: hogging(default_service, hog, at_once=8, paths=[path], bodies=[*bodies.values()]),
        lambda window: window.abused.median < 0.06 and window.abused.p99 < 1 and is_fair(window),
    )

    figures = "; ".join(map(str, measured))
    assert all(each.abused.share_answered == 1 for each in measured), figures
    assert max(each.abused.median for each in measured) < 0.5, figures
    # In seconds. It is 0.22 if each body gets a time slice in each round of the event loop.
    assert min(each.abused.median for each in measured) < 0.06, figures
    assert min(each.abused.p99 for each in measured) < 1, figures
    assert any(map(is_fair, measured)), figures


def is_fair(window: Window) -> bool:
    """Return what `Window.is_fair` does, but with `FAIR_P99` instead of `QUICK`."""
    return window.abused.p99 <= max(3 * window.quiet.p99, FAIR_P99)
