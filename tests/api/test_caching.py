"""Caching (RFC 9111): only a private cache may store tasks, and must revalidate them. No cache stores an error."""

import pytest

from tests.support.people import People

pytestmark = pytest.mark.server


async def test_a_response_with_tasks_is_private_and_must_be_revalidated(people: People) -> None:
    ann = people.one()
    task = await ann.create()
    listed = await ann.ask("GET")

    answers = [
        listed,
        await ann.ask("GET", task["id"]),
        await ann.ask("GET", "?limit=1", headers={"if-none-match": listed.headers["etag"]}),
        await ann.ask("GET", task["id"], headers={"if-none-match": '"1"'}),
        await ann.ask("GET", "summary?tz=UTC"),
        await ann.ask("GET", "changes"),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 304, 304, 200, 200]
    assert {answer.headers["cache-control"] for answer in answers} == {"private, no-cache"}


async def test_an_error_response_is_not_stored(people: People) -> None:
    ann = people.one()

    answers = [
        await ann.ask("GET", "x"),
        await ann.ask("POST", json={}),
        await ann.ask("GET", "/api/bob/tasks"),
        await people.client.get("/api/me/tasks"),
        await people.client.get("/nowhere"),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 403, 401, 404]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
