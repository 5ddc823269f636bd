"""Fields of a task: due date, priority, tags and time of completion. And how many tasks a person may have."""

from typing import Any

import pytest

from tests.support.people import People

pytestmark = pytest.mark.server

WRONG: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a moment without offset": ({"due": "2026-01-31T17:00:00"}, {"/due"}),
    "a day that does not exist": ({"due": "2026-02-30"}, {"/due"}),
    "a number for a date": ({"due": 20260131}, {"/due"}),
    "an unknown priority": ({"priority": "urgent"}, {"/priority"}),
    "a number for a priority": ({"priority": 1}, {"/priority"}),
    "an array for a priority": ({"priority": ["low"]}, {"/priority"}),
    "null for a priority": ({"priority": None}, {"/priority"}),
    "a string for tags": ({"tags": "home"}, {"/tags"}),
    "null for tags": ({"tags": None}, {"/tags"}),
    "a number among tags": ({"tags": ["a", 1]}, {"/tags/1"}),
    "a blank tag": ({"tags": ["a", "b", "c", " "]}, {"/tags/3"}),
    "a tag twice": ({"tags": ["Home", "home"]}, {"/tags/1"}),
    "too many tags": ({"tags": [str(number) for number in range(21)]}, {"/tags"}),
    "a long tag": ({"tags": ["x" * 51]}, {"/tags/0"}),
    "NUL in a tag": ({"tags": ["a\0"]}, {"/tags/0"}),
    "all at once": (
        {"title": "", "due": "", "priority": "", "tags": [""], "position": "V", "version": 2},
        {"/title", "/due", "/priority", "/tags/0", "/position", "/version"},
    ),
}


async def test_a_created_task_has_the_given_fields(people: People) -> None:
    ann = people.one()

    task = await ann.create(due="2026-01-31T17:00:00+01:00", priority="high", tags=[" Home ", "b"])

    assert (task["due"], task["priority"], task["tags"]) == (
        "2026-01-31T16:00:00.000000Z",
        "high",
        ["Home", "b"],
    )
    assert (await ann.ask("GET", task["id"])).json() == task


async def test_absent_fields_of_a_new_task_have_their_defaults(people: People) -> None:
    task = await people.one().create()

    assert (task["due"], task["priority"], task["tags"]) == (None, "none", [])
    assert (task["version"], task["completed_at"], task["trashed_at"]) == (1, None, None)


@pytest.mark.parametrize(("members", "pointers"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_each_error_is_reported_with_its_place(
    people: People, method: str, members: dict[str, Any], pointers: set[str]
) -> None:
    ann = people.one()
    task = await ann.create()
    path = task["id"] if method == "PUT" else ""
    expected = pointers - ({"/position", "/version"} if method == "PUT" else set())  # PUT ignores these two

    response = await ann.ask(method, path, json={"title": "x", **members})

    assert response.status_code == 400
    assert {error["pointer"] for error in response.json()["errors"]} == expected
    assert (await ann.ask("GET")).json() == [task]


async def test_a_whole_task_can_be_sent_back_as_it_was_read(people: People) -> None:
    ann = people.one()
    task = await ann.create(due="2026-01-31", priority="low", tags=["a"], completed=True)

    response = await ann.ask("PUT", task["id"], json=task)

    assert response.status_code == 200
    assert response.json() == task


async def test_the_server_sets_completed_at(people: People) -> None:
    ann = people.one()
    task = await ann.create()

    completed = (await ann.ask("PATCH", f"{task['id']}/complete", json={"completed": True})).json()
    again = (await ann.ask("PATCH", f"{task['id']}/complete", json={"completed": True})).json()
    retitled = (await ann.ask("PUT", task["id"], json={"title": "y", "completed": True})).json()
    reopened = (await ann.ask("PATCH", f"{task['id']}/complete")).json()

    assert completed["completed_at"] == completed["updated_at"]
    assert again == completed
    assert retitled["completed_at"] == completed["completed_at"]
    assert reopened["completed_at"] is None


async def test_at_the_limit_of_tasks_a_create_gets_409_until_a_task_is_deleted_permanently(
    people_with_three_tasks_at_most: People,
) -> None:
    ann = people_with_three_tasks_at_most.one()
    tasks = [await ann.create() for _ in range(3)]

    refused = await ann.ask("POST", json={"title": "x"})
    await ann.ask("DELETE", tasks[0]["id"])
    with_one_in_the_trash = await ann.ask("POST", json={"title": "x"})
    await ann.ask("DELETE", f"{tasks[0]['id']}?permanent=true")
    accepted = await ann.ask("POST", json={"title": "x"})

    statuses = [response.status_code for response in (refused, with_one_in_the_trash, accepted)]
    assert statuses == [409, 409, 201]
    assert refused.json()["type"] == "/problems/too-many-tasks"
