"""Requests for an event stream that are refused, and HEAD. tests/e2e/test_event_streams.py opens streams."""

import asyncio

import httpx
import pytest

from app.api.requests import cursors
from app.domain.changes import ChangesToken
from tests.support.people import People, Person

pytestmark = pytest.mark.server

EVENTS_FROM_NOW = "events?since=now"


async def ask(person: Person, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Send a request with these headers, whose names have `_` for `-`. Fail after 20 seconds if the service opens a stream instead."""
    async with asyncio.timeout(20):
        return await person.ask(
            method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )


def token_of(person: Person, revision: int) -> str:
    return cursors.write_token(ChangesToken.after_revision(revision), person.user_id)


async def test_a_request_without_since_and_last_event_id_is_refused(people: People) -> None:
    refused = await ask(people.one(), "events")

    assert refused.status_code == 400
    assert [(error["pointer"], error["in"]) for error in refused.json()["errors"]] == [("/since", "query")]


@pytest.mark.parametrize("since", ["", "x", "NOW", "now ", "A" * 3000, "%00", "%ff"])
async def test_a_since_that_is_no_token_is_refused(people: People, since: str) -> None:
    refused = await ask(people.one(), f"events?since={since}")

    assert refused.status_code == 400
    assert refused.json()["errors"][0]["in"] == "query"


@pytest.mark.parametrize("last", ["", "x", "now"])
async def test_a_last_event_id_that_is_no_token_is_refused(people: People, last: str) -> None:
    refused = await ask(people.one(), EVENTS_FROM_NOW, last_event_id=last)

    assert refused.status_code == 400
    assert refused.json()["errors"][0]["pointer"] == "/Last-Event-ID"


async def test_a_token_of_another_person_is_refused(people: People) -> None:
    refused = await ask(people.one(), f"events?since={token_of(people.one('bob'), 0)}")

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "/since")


async def test_two_tokens_that_differ_are_refused(people: People) -> None:
    ann = people.one()

    refused = await ask(ann, f"events?since={token_of(ann, 0)}", last_event_id=token_of(ann, 1))

    assert refused.status_code == 400
    assert refused.json()["errors"][0]["pointer"] == "/Last-Event-ID"


@pytest.mark.parametrize("query", ["since=now&limit=5", "since=now&since=now", "since=now&token=x"])
async def test_an_unknown_or_repeated_parameter_is_refused(people: People, query: str) -> None:
    assert (await ask(people.one(), f"events?{query}")).status_code == 400


async def test_a_token_above_the_revision_gets_410(people: People) -> None:
    ann = people.one()

    gone = await ask(ann, f"events?since={token_of(ann, 5)}")

    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/changes-gone")


@pytest.mark.parametrize("accept", ["application/json", "text/html", "text/event-stream;q=0"])
async def test_a_client_that_does_not_accept_events_is_refused(people: People, accept: str) -> None:
    refused = await ask(people.one(), EVENTS_FROM_NOW, accept=accept)

    assert refused.status_code == 406
    assert "text/event-stream" in refused.json()["detail"]


async def test_head_gets_the_headers_of_a_stream_and_ends(people: People) -> None:
    head = await ask(people.one(), EVENTS_FROM_NOW, "HEAD", accept="text/event-stream")
    wrong = await ask(people.one(), "events", "HEAD")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == "text/event-stream"
    assert head.headers["cache-control"] == "no-cache, no-transform"
    assert head.headers["x-accel-buffering"] == "no"
    assert wrong.status_code == 400


async def test_events_of_another_person_are_refused(people: People) -> None:
    bob = people.one("bob")

    assert (await ask(people.one(), f"/api/{bob.user_id}/tasks/{EVENTS_FROM_NOW}")).status_code == 403


async def test_a_stream_needs_a_token(people: People) -> None:
    assert (await people.client.get(f"/api/me/tasks/{EVENTS_FROM_NOW}")).status_code == 401
