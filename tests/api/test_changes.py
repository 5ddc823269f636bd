"""`GET …/tasks/changes`: a client that follows the feed gets every task, and each wrong parameter is reported with its place."""

from typing import Any

import pytest

from app.api.requests import cursors
from app.domain.changes import ChangesToken
from app.domain.identity import UserId
from tests.support.follower import Follower
from tests.support.people import People, Person

pytestmark = pytest.mark.server


async def follow(person: Person, follower: Follower, *, limit: int = 200) -> list[Any]:
    """Read pages until there are no more changes. Return the responses."""
    responses = []
    while True:
        since = "" if follower.token is None else f"&since={follower.token}"
        response = await person.ask("GET", f"changes?limit={limit}{since}")
        assert response.status_code == 200, response.text
        responses.append(response)
        if not follower.apply(response.json()):
            return responses


async def test_a_client_that_reads_changes_gets_every_task_and_every_deletion(people: People) -> None:
    ann = people.one()
    tasks = [await ann.create(f"task {number}") for number in range(3)]
    follower = Follower()

    first, second = await follow(ann, follower, limit=2)
    await ann.ask("DELETE", tasks[0]["id"])
    await ann.ask("DELETE", f"{tasks[1]['id']}?permanent=true")
    (third,) = await follow(ann, follower)

    assert first.links["next"]["url"].endswith(f"/tasks/changes?limit=2&since={first.json()['next']}")
    assert "link" not in second.headers
    assert [change["task"] for change in first.json()["changes"]] == tasks[:2]
    assert [(one["id"], one["task"] is None) for one in third.json()["changes"]] == [
        (tasks[0]["id"], False),
        (tasks[1]["id"], True),
    ]
    assert {name: task["trashed_at"] is None for name, task in follower.copy.items()} == {
        tasks[0]["id"]: False,
        tasks[2]["id"]: True,
    }


async def test_without_new_changes_the_page_is_empty_and_has_the_same_token(people: People) -> None:
    ann = people.one()
    empty = (await ann.ask("GET", "changes")).json()
    again = (await ann.ask("GET", f"changes?since={empty['next']}")).json()

    assert again == empty == {"changes": [], "next": empty["next"], "more": False}


WRONG = {
    "since=": "/since",
    "since=x": "/since",
    f"since={'A' * 62}": "/since",
    "limit=0": "/limit",
    "limit=201": "/limit",
    "limit=abc": "/limit",
    "limit=": "/limit",
    "after=1": "/after",
    "limit=1&limit=2": "/limit",
}


@pytest.mark.parametrize("query", WRONG)
async def test_each_wrong_parameter_is_reported_with_its_place(people: People, query: str) -> None:
    response = await people.one().ask("GET", f"changes?{query}")

    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == [WRONG[query]]


async def test_a_changed_token_a_token_of_another_person_and_a_list_cursor_are_refused(
    people: People,
) -> None:
    ann, bob = people.one("ann"), people.one("bob")
    for number in range(2):
        await ann.create(f"task {number}")
    own = (await ann.ask("GET", "changes")).json()["next"]
    listed = await ann.ask("GET", "/api/me/tasks?limit=1")
    cursor = listed.links["next"]["url"].partition("cursor=")[2]

    for person, token in ((bob, own), (ann, own[:-2] + "BA"), (ann, own.swapcase()), (ann, cursor)):
        response = await person.ask("GET", f"changes?since={token}")
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/since")


@pytest.mark.parametrize(
    "token",
    [
        ChangesToken(2**62 - 1),  # later than any revision, as after a restored backup
        ChangesToken(2),  # so old that deletions after it may be forgotten
        ChangesToken(2, base=2**62 - 1),  # of a first read that began later than any revision
    ],
)
async def test_a_token_that_is_too_new_or_too_old_gets_410(people: People, token: ChangesToken) -> None:
    ann = people.one()
    await ann.create()

    response = await ann.ask("GET", f"changes?since={cursors.write_token(token, UserId(ann.user_id))}")

    assert response.status_code == 410
    assert response.json()["type"] == "/problems/changes-gone"
    assert (await ann.ask("GET", "changes")).status_code == 200


async def test_a_forged_token_with_a_revision_above_the_possible_ones_is_refused(people: People) -> None:
    ann = people.one()
    token = cursors.write_token(ChangesToken(2**62), UserId(ann.user_id))

    assert (await ann.ask("GET", f"changes?since={token}")).status_code == 400


async def test_a_page_of_changes_ends_at_1_mb_and_the_next_page_has_the_rest(people: People) -> None:
    ann = people.one()
    long = {"title": "long", "description": "\U0001f331" * 10_000}
    for _ in range(2):
        body = {"operations": [{"op": "create", **long} for _ in range(40)]}
        assert (await ann.ask("POST", "batch", json=body)).status_code == 200
    follower = Follower()

    responses = await follow(ann, follower)

    assert len(responses) > 1
    assert max(len(response.content) for response in responses) < 1.1 * 2**20
    assert len(follower.copy) == len(follower.received) == 80
