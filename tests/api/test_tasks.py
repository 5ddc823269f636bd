"""The routes of a list and of one task: success, no token, another person's list or task, and invalid input."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from app.api.task_fields import TASK_FIELDS
from tests.support.factories import a_task_id
from tests.support.people import People

pytestmark = pytest.mark.server

OF_ONE_TASK: dict[tuple[str, str], Any] = {  # routes, and the body of each
    ("GET", "{id}"): None,
    ("PUT", "{id}"): {"title": "x"},
    ("PATCH", "{id}"): {"title": "x"},
    ("DELETE", "{id}"): None,
    ("PATCH", "{id}/complete"): None,
    ("POST", "{id}/move"): {"before": str(a_task_id())},
    ("POST", "{id}/restore"): None,
}
OF_A_LIST = [
    *(("GET", path) for path in ("", "summary", "changes", "events")),
    ("POST", ""),
    ("POST", "batch"),
]
ROUTES = [*OF_A_LIST, *OF_ONE_TASK]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_given_no_token_then_401(people: People, method: str, path: str) -> None:
    ann = people.one()
    url = f"/api/{ann.user_id}/tasks/" + path.format(id="not-even-a-uuid")

    response = await people.client.request(method, url)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="taskward"'
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_given_another_persons_list_then_403_even_with_an_unreadable_body(
    people: People, method: str, path: str
) -> None:
    ann, bob = people.one("ann"), people.one("bob")
    task = await ann.create()

    response = await bob.ask(method, f"/api/{ann.user_id}/tasks/" + path.format(id=task["id"]), content=b"{{")

    assert response.status_code == 403
    assert (await ann.ask("GET")).json() == [task]


@pytest.mark.parametrize(("method", "path"), OF_ONE_TASK)
async def test_a_task_of_another_person_and_an_absent_one_get_the_same_404(
    people: People, method: str, path: str
) -> None:
    ann, bob = people.one("ann"), people.one("bob")
    task = await ann.create()

    body = OF_ONE_TASK[method, path]
    arguments = {} if body is None else {"json": body}
    anothers = await bob.ask(method, path.format(id=task["id"]), **arguments)
    absent = await bob.ask(method, path.format(id=a_task_id()), **arguments)

    assert anothers.status_code == absent.status_code == 404
    answers = [
        {name: value for name, value in response.json().items() if name not in ("request_id", "instance")}
        for response in (anothers, absent)
    ]
    assert answers[0] == answers[1]
    assert [*anothers.headers] == [*absent.headers]
    assert (await ann.ask("GET")).json() == [task]


async def test_a_create_returns_the_task_and_its_location(people: People) -> None:
    ann = people.one()

    response = await ann.ask("POST", json={"title": "  buy milk ", "description": "two", "completed": True})

    task = response.json()
    assert response.status_code == 201
    assert list(task) == list(TASK_FIELDS)
    assert (task["user_id"], task["title"], task["description"]) == (ann.user_id, "buy milk", "two")
    assert task["completed"] is True
    assert task["created_at"] == task["updated_at"]
    assert task["created_at"].endswith("Z")
    assert UUID(task["id"]).version == 7
    assert (await ann.ask("GET", response.headers["location"])).json() == task


async def test_a_task_needs_no_more_than_a_title(people: People) -> None:
    task = await people.one().create("x")

    assert (task["description"], task["completed"]) == (None, False)


async def test_me_is_an_alias_of_your_own_user_id(people: People) -> None:
    ann = people.one()

    created = await ann.ask("POST", "/api/me/tasks", json={"title": "x"})

    assert created.json()["user_id"] == ann.user_id
    assert created.headers["location"] == f"/api/me/tasks/{created.json()['id']}"
    assert (await ann.ask("GET", "/api/me/tasks")).json() == (await ann.ask("GET")).json() == [created.json()]


@pytest.mark.parametrize(
    "strange", ["a b", "ünï", "50%", "a?b", "a#b", "a+b", "🌱", "a;b", "me", "A&B=C", ".", "x" * 200]
)
async def test_a_user_id_of_any_characters_works_in_a_path(people: People, strange: str) -> None:
    ann = people.one(strange)

    task = await ann.create()

    assert task["user_id"] == ann.user_id
    location = f"/api/{quote(ann.user_id, safe='')}/tasks/{task['id']}"
    assert (await ann.ask("GET", location)).json() == task


async def test_the_list_of_a_user_id_with_a_slash_has_only_the_path_with_me(people: People) -> None:
    ann = people.one("a/b")

    created = await ann.ask("POST", "/api/me/tasks", json={"title": "x"})

    assert created.json()["user_id"] == ann.user_id
    assert (await ann.ask("GET")).status_code == 404


async def test_a_list_has_the_persons_own_tasks_newest_first(people: People) -> None:
    ann, bob = people.one("ann"), people.one("bob")
    for title in ("one", "two", "three"):
        await ann.create(title)
    await bob.create("another's")

    assert await ann.titles() == ["three", "two", "one"]


async def test_a_new_persons_list_is_empty(people: People) -> None:
    assert (await people.one().ask("GET")).text == "[]"


async def test_following_the_link_header_shows_every_task_once(people: People) -> None:
    ann = people.one()
    for number in range(7):
        await ann.create(str(number))
    titles, path, pages = [], "/api/me/tasks?limit=3", 0

    while path:
        response = await ann.ask("GET", path)
        titles += [task["title"] for task in response.json()]
        path = response.links.get("next", {}).get("url", "")
        pages += 1

    assert titles == ["6", "5", "4", "3", "2", "1", "0"]
    assert pages == 3


async def test_a_list_without_a_limit_has_up_to_a_thousand_tasks(people: People) -> None:
    ann = people.one()
    for _ in range(11):
        operations = [{"op": "create", "title": "x"} for _ in range(100)]
        assert (await ann.ask("POST", "batch", json={"operations": operations})).status_code == 200

    response = await ann.ask("GET")

    assert len(response.json()) == 1_000
    assert 'rel="next"' in response.headers["link"]
    assert len((await ann.ask("GET", "/api/me/tasks?limit=50")).json()) == 50


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "", "1.0", "x", "1e1", "٣", " 1", "9" * 5000])
async def test_a_limit_that_is_no_number_from_1_to_1000_is_refused(people: People, limit: str) -> None:
    response = await people.one().ask("GET", "/api/me/tasks", params={"limit": limit})

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/limit"
    assert response.json()["errors"][0]["in"] == "query"


@pytest.mark.parametrize("cursor", ["", "x", "A" * 21, "A" * 21 + "B", "A" * 23, "é", "A" * 21 + "="])
async def test_a_cursor_that_the_service_did_not_make_is_refused(people: People, cursor: str) -> None:
    response = await people.one().ask("GET", "/api/me/tasks", params={"cursor": cursor})

    assert [error["pointer"] for error in response.json()["errors"]] == ["/cursor"]
    assert response.status_code == 400


async def test_an_update_changes_what_is_sent_and_keeps_the_rest(people: People) -> None:
    ann = people.one()
    task = await ann.create("old", description="kept")

    response = await ann.ask("PUT", task["id"], json={"title": " new ", "completed": True})

    changed = response.json()
    assert response.status_code == 200
    assert (changed["title"], changed["description"], changed["completed"]) == ("new", "kept", True)
    assert changed["created_at"] == task["created_at"]
    assert changed["updated_at"] > task["updated_at"]
    assert (await ann.ask("GET", task["id"])).json() == changed


async def test_a_description_can_be_emptied(people: People) -> None:
    ann = people.one()
    task = await ann.create(description="x")

    assert (await ann.ask("PUT", task["id"], json={"description": None})).json()["description"] is None


async def test_an_empty_update_changes_nothing(people: People) -> None:
    ann = people.one()
    task = await ann.create()

    assert (await ann.ask("PUT", task["id"], json={})).json() == task


async def test_an_update_with_a_whole_task_ignores_its_read_only_fields(people: People) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask("PUT", task["id"].upper(), json={**task, "title": "new", "created_at": 5})

    assert (response.status_code, response.json()["title"]) == (200, "new")
    assert response.json()["created_at"] == task["created_at"]


@pytest.mark.parametrize(
    "member", [{"id": str(a_task_id())}, {"user_id": "bob"}, {"id": None}, {"user_id": "me"}]
)
async def test_an_id_or_owner_that_contradicts_the_path_is_refused(
    people: People, member: dict[str, Any]
) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask("PUT", task["id"], json={"title": "new", **member})

    assert response.status_code == 400
    assert response.json()["errors"] == [
        {"pointer": f"/{next(iter(member))}", "detail": "contradicts the path"}
    ]
    assert (await ann.ask("GET", task["id"])).json() == task


@pytest.mark.parametrize("member", ["id", "user_id", "created_at", "updated_at", "completed_at", "nonsense"])
async def test_a_read_only_or_unknown_field_is_refused_in_a_create(people: People, member: str) -> None:
    ann = people.one()

    response = await ann.ask("POST", json={"title": "x", member: "y"})

    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == [f"/{member}"]
    assert await ann.titles() == []


async def test_completing_without_a_body_toggles(people: People) -> None:
    ann = people.one()
    task = await ann.create()

    first = (await ann.ask("PATCH", f"{task['id']}/complete")).json()
    second = (await ann.ask("PATCH", f"{task['id']}/complete")).json()

    assert (first["completed"], second["completed"]) == (True, False)
    assert second["updated_at"] > first["updated_at"] > task["updated_at"]


@pytest.mark.parametrize("completed", [True, False])
async def test_completing_with_a_body_sets_the_value_and_is_safe_to_repeat(
    people: People,
    completed: bool,  # noqa: FBT001 - a case
) -> None:
    ann = people.one()
    task = await ann.create()

    for _ in range(2):
        response = await ann.ask("PATCH", f"{task['id']}/complete", json={"completed": completed})
        assert response.json()["completed"] is completed


@pytest.mark.parametrize(
    "body", [b"[]", b"true", b'{"completed":1}', b'{"completed":"true"}', b'{"completed":null}']
)
async def test_completing_with_an_invalid_body_is_refused(people: People, body: bytes) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask(
        "PATCH", f"{task['id']}/complete", content=body, headers={"content-type": "application/json"}
    )

    assert response.status_code == 400
    assert (await ann.ask("GET", task["id"])).json() == task


async def test_a_deleted_task_gets_404(people: People) -> None:
    ann = people.one()
    task, other = await ann.create(), await ann.create("other")

    response = await ann.ask("DELETE", task["id"])

    assert (response.status_code, response.content) == (204, b"")
    assert (await ann.ask("GET", task["id"])).status_code == 404
    assert (await ann.ask("DELETE", task["id"])).status_code == 404
    assert await ann.titles() == [other["title"]]
