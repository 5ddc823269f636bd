"""Texts that are dear to judge, beside somebody who only asks whether the service is alive."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.abuse.honest import honest_person
from tests.support.factories import someone
from tests.support.servers.service import Service

pytestmark = pytest.mark.server

ALPHABETS = {
    "accents": "é ",
    "marks": "a" + "\u0301\u0327" * 15,
    "Han": "東京",
    "emoji": "😀",
    "one letter that is 18": "\ufdfa" + "b" * 19,
}
BATCH_MAX = 2 * 1024 * 1024  # bytes
ROUNDS = 4


def batch_of(unit: str) -> bytes:
    """Return the largest batch of tasks with long descriptions that is allowed."""
    description = (unit * 10_000)[:9_900]
    count = min(100, BATCH_MAX // (len(description.encode()) + 100))
    operations = [{"op": "create", "title": "x", "description": description} for _ in range(count)]
    return json.dumps({"operations": operations}, ensure_ascii=False).encode()


def post(service: Service, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    headers = {**headers, "content-type": "application/json"}
    return httpx.post(f"{service.url}/api/me/tasks{path}", content=body, headers=headers, timeout=30)


@pytest.mark.parametrize("name", ALPHABETS)
def test_while_the_largest_batch_is_judged_the_same_worker_answers_at_once(
    default_service: Service, name: str
) -> None:
    body, headers = batch_of(ALPHABETS[name]), default_service.headers(someone())

    with honest_person(default_service, "/health") as measured:
        answers = [post(default_service, "/batch", body, headers) for _ in range(ROUNDS)]

    assert {answer.status_code for answer in answers} == {200}
    assert measured.share_answered == 1
    assert measured.median < 0.1
    assert measured.worst < 1.0


MARKS = "\u0301\u0327" * 60_000
ATTACKS: Mapping[str, Any] = {
    "tags": {"title": "x", "tags": ["a" + MARKS]},
    "title": {"title": "a" + MARKS},
    "description": {"title": "x", "description": "a" + MARKS},
    "a thousand tags": {"title": "x", "tags": ["a" + MARKS[:200]] * 500},
    "unknown members": {"title": "x", **{f"member{number}": number for number in range(8_000)}},
    "a member with a long name": {"title": "x", "m" * 200_000: 1},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_body_of_the_worst_kind_is_refused_at_once(default_service: Service, name: str) -> None:
    body = json.dumps(ATTACKS[name], ensure_ascii=False).encode()[: 256 * 1024]
    headers = default_service.headers(someone())

    with honest_person(default_service, "/health") as measured:
        answers = [post(default_service, "", body, headers) for _ in range(ROUNDS)]

    assert {answer.status_code for answer in answers} == {400}
    assert all(answer.elapsed.total_seconds() < 2 for answer in answers)
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
def test_a_query_of_the_worst_kind_is_refused_at_once(default_service: Service, parameter: str) -> None:
    with httpx.Client(base_url=default_service.url, headers=default_service.headers(someone())) as client:
        answer = client.get(f"/api/me/tasks?{parameter}")

    assert answer.status_code == 400
    assert answer.elapsed.total_seconds() < 2


def test_a_flood_of_large_batches_leaves_others_their_share(default_service: Service) -> None:
    body, stop = batch_of(ALPHABETS["marks"]), threading.Event()
    headers = default_service.headers(someone())

    def flood() -> None:
        for _ in range(6):
            if stop.is_set():
                return
            post(default_service, "/batch", body, headers)

    threads = [threading.Thread(target=flood) for _ in range(3)]
    with honest_person(default_service) as measured:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert measured.share_answered >= 0.99
    assert measured.median < 0.5
