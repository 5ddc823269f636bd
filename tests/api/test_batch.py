"""`POST …/tasks/batch`: many operations at once, all or none."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from app.composition import compose
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.factories import a_task_id
from tests.support.in_process import client_of
from tests.support.people import People, Person

pytestmark = pytest.mark.server

ID = str(a_task_id())  # no task has this id


async def batch(person: Person, *operations: Any, **arguments: Any) -> Any:
    return await person.ask("POST", "batch", json={"operations": operations}, **arguments)


def pointers_of(answer: Any) -> set[str]:
    """Return the places of the errors in a problem document."""
    return {error["pointer"] for error in answer.json()["errors"]}


async def test_results_of_all_kinds_of_operations_are_in_the_requested_order(people: People) -> None:
    ann = people.one()
    updated, completed, deleted, restored = [await ann.create(title, tags=["x"]) for title in "abcd"]
    await ann.ask("DELETE", restored["id"])

    answer = await batch(
        ann,
        {"op": "restore", "id": restored["id"]},
        {"op": "create", "title": " new ", "due": "2026-01-09", "priority": "high", "tags": ["y"]},
        {"op": "update", "id": updated["id"].upper(), "if_match": '"1"', "tags": None, "due": "2026-02-03"},
        {"op": "delete", "id": deleted["id"]},
        {"op": "complete", "id": completed["id"]},
    )

    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [result["status"] for result in results] == [200, 201, 200, 204, 200]
    assert results[3] == {"status": 204}
    shown = [result["task"] for result in results if "task" in result]
    assert [task["title"] for task in shown] == ["d", "new", "a", "b"]
    assert (shown[1]["due"], shown[1]["priority"], shown[1]["tags"]) == ("2026-01-09", "high", ["y"])
    assert (shown[2]["due"], shown[2]["tags"], shown[2]["version"]) == ("2026-02-03", [], 2)
    assert (shown[3]["completed"], shown[3]["completed_at"]) == (True, shown[3]["updated_at"])
    assert sorted((await ann.ask("GET")).json(), key=lambda task: task["title"]) == sorted(
        shown, key=lambda task: task["title"]
    )


async def test_tasks_created_in_one_batch_have_the_same_order_as_if_created_one_by_one(
    people: People,
) -> None:
    ann = people.one()
    titles = [str(number) for number in range(100)]

    answer = await batch(ann, *({"op": "create", "title": title} for title in titles))

    tasks = [result["task"] for result in answer.json()["results"]]
    assert [task["title"] for task in tasks] == titles
    assert [task["title"] for task in (await ann.ask("GET", "?limit=200")).json()] == titles[::-1]
    assert sorted(tasks, key=lambda task: task["position"]) == tasks[::-1]


async def test_complete_can_reopen_and_is_safe_to_repeat(people: People) -> None:
    ann = people.one()
    task = await ann.create(completed=True)

    (same,) = (await batch(ann, {"op": "complete", "id": task["id"]})).json()["results"]
    (open_again,) = (await batch(ann, {"op": "complete", "id": task["id"], "completed": False})).json()[
        "results"
    ]

    assert same["task"] == task
    assert (open_again["task"]["completed"], open_again["task"]["completed_at"]) == (False, None)


@pytest.mark.parametrize("op", ["update", "complete", "delete", "restore"])
async def test_an_absent_task_and_one_of_another_person_get_the_same_404_with_their_index(
    people: People, op: str
) -> None:
    ann, bob = people.one("ann"), people.one("bob")
    bobs = await bob.create("bob's")
    create = {"op": "create", "title": "x"}

    answers = [await batch(ann, create, create, {"op": op, "id": id_}) for id_ in (ID, bobs["id"])]

    for answer in answers:
        assert (answer.status_code, pointers_of(answer)) == (404, {"/operations/2"})
    absent, anothers = ({**answer.json(), "request_id": ""} for answer in answers)
    assert absent == anothers
    assert await ann.titles() == []
    assert await bob.titles() == ["bob's"]


async def test_an_operation_on_an_old_version_gets_412_with_its_index_and_without_an_etag(
    people: People,
) -> None:
    ann = people.one()
    one, other = await ann.create("one"), await ann.create("other")
    await ann.ask("PATCH", other["id"], json={"title": "changed"})

    answer = await batch(
        ann,
        {"op": "delete", "id": one["id"], "if_match": '"1"'},
        {"op": "update", "id": other["id"], "if_match": '"1"', "title": "x"},
    )

    assert (answer.status_code, pointers_of(answer)) == (412, {"/operations/1"})
    assert (
        "etag" not in answer.headers
    )  # an ETag belongs to the URL, and the URL of a batch is not that of a task
    assert await ann.titles() == ["changed", "one"]


async def test_errors_are_in_the_order_of_the_operations_and_detail_has_the_first(people: People) -> None:
    ann = people.one()

    answer = await batch(
        ann,
        {"op": "complete", "id": ID},
        {"op": "create", "title": "right"},
        {"op": "complete", "id": ID},
        {"op": "create", "title": ""},
    )

    places = [error["pointer"] for error in answer.json()["errors"]]
    assert places == ["/operations/2/id", "/operations/3/title"]
    assert answer.json()["detail"] == "operations/2/id: is named by /operations/0 as well"


async def test_restoring_a_task_that_is_not_in_the_trash_gets_409_with_its_index(people: People) -> None:
    ann = people.one()
    task = await ann.create()

    answer = await batch(ann, {"op": "create", "title": "x"}, {"op": "restore", "id": task["id"]})

    assert (answer.status_code, pointers_of(answer)) == (409, {"/operations/1"})
    assert len(await ann.titles()) == 1


async def test_a_full_list_gives_409_a_missing_if_match_428_and_an_absent_task_404(database_url: str) -> None:
    settings = Settings.from_env(environment_for(database_url, MAX_TASKS="3", REQUIRE_IF_MATCH="1"))
    async with client_of(compose(settings)) as client:
        ann = People(client).one()
        task = await ann.create()

        full = await batch(ann, *({"op": "create", "title": "x"} for _ in range(3)))
        without_if_match = await batch(ann, {"op": "complete", "id": task["id"]})
        absent = await batch(ann, {"op": "complete", "id": ID})
        any_version = await batch(ann, {"op": "complete", "id": task["id"], "if_match": "*"})

    assert (full.status_code, full.json()["type"]) == (409, "/problems/too-many-tasks")
    assert (without_if_match.status_code, pointers_of(without_if_match)) == (428, {"/operations/0"})
    assert "etag" not in without_if_match.headers
    assert absent.status_code == 404
    assert any_version.status_code == 200


WRONG: dict[str, tuple[Any, set[str]]] = {
    "an empty object": ({}, {"/operations"}),
    "an object for operations": ({"operations": {}}, {"/operations"}),
    "no operation": ({"operations": []}, {"/operations"}),
    "101 operations": ({"operations": [{"op": "create", "title": "x"}] * 101}, {"/operations"}),
    "an unknown member": ({"operations": [{"op": "create", "title": "x"}], "x/y": 1}, {"/x~1y"}),
    "operations that are no objects": ({"operations": [1, None]}, {"/operations/0", "/operations/1"}),
    "an operation without op": ({"operations": [{}]}, {"/operations/0/op"}),
    "an unknown op": (
        {"operations": [{"op": "move", "id": ID}, {"op": []}]},
        {"/operations/0/op", "/operations/1/op"},
    ),
    "operations without title or id": (
        {"operations": [{"op": op} for op in ("create", "update", "complete", "delete", "restore")]},
        {"/operations/0/title", *(f"/operations/{n}/id" for n in (1, 2, 3, 4))},
    ),
    "invalid values": (
        {
            "operations": [
                {"op": "create", "title": " ", "tags": ["a", "A", 1]},
                {"op": "update", "id": ID, "title": None, "due": "2026-01-01T00:00:00", "tags": ["a", "A"]},
            ]
        },
        {
            *("/operations/0/title", "/operations/0/tags/2"),
            *("/operations/1/title", "/operations/1/due", "/operations/1/tags/1"),
        },
    ),
    "members that only the server sets": (
        {"operations": [{"op": "create", "id": ID, "title": "x"}, {"op": "update", "id": ID, "version": 1}]},
        {"/operations/0/id", "/operations/1/version"},
    ),
    "members that this operation does not have, and null": (
        {
            "operations": [
                {"op": "delete", "id": ID, "permanent": True},
                {"op": "create", "title": "x", "if_match": '"1"'},
                {"op": "complete", "id": str(uuid4()), "title": "x", "completed": None},
            ]
        },
        {
            *("/operations/0/permanent", "/operations/1/if_match"),
            *("/operations/2/title", "/operations/2/completed"),
        },
    ),
    "a malformed id and entity tag": (
        {
            "operations": [
                {"op": "delete", "id": "x", "if_match": "1"},
                {"op": "delete", "id": 7, "if_match": 1},
                {"op": "delete", "id": str(uuid4()), "if_match": None},
            ]
        },
        {
            *("/operations/0/id", "/operations/0/if_match", "/operations/1/id", "/operations/1/if_match"),
            "/operations/2/if_match",
        },
    ),
    "one task twice": (
        {"operations": [{"op": "delete", "id": ID}, {"op": "restore", "id": ID.upper()}]},
        {"/operations/1/id"},
    ),
}


@pytest.mark.parametrize(("body", "pointers"), WRONG.values(), ids=WRONG)
async def test_every_error_is_reported_with_its_place(people: People, body: Any, pointers: set[str]) -> None:
    ann = people.one()

    answer = await ann.ask("POST", "batch", json=body)

    assert (answer.status_code, pointers_of(answer)) == (400, pointers)
    assert await ann.titles() == []


async def test_a_malformed_idempotency_key_is_one_of_the_reported_errors(people: People) -> None:
    answer = await batch(people.one(), {"op": "create"}, headers={"idempotency-key": '"'})

    assert (answer.status_code, pointers_of(answer)) == (400, {"/Idempotency-Key", "/operations/0/title"})


async def test_a_batch_of_two_megabytes_is_accepted_and_a_larger_one_refused(people: People) -> None:
    ann = people.one()
    operations = [{"op": "create", "title": "x", "description": "é" * 9900} for _ in range(100)]
    body = json.dumps({"operations": operations}, ensure_ascii=False).encode()
    full = body + b" " * (2 * 1024 * 1024 - len(body))
    headers = {"content-type": "application/json"}

    refused = await ann.ask("POST", "batch", content=full + b" ", headers=headers)
    accepted = await ann.ask("POST", "batch", content=full, headers=headers)

    assert (refused.status_code, accepted.status_code) == (413, 200)
    created = await ann.ask("GET", "summary")
    assert created.json()["open"] == 100


async def test_an_operation_of_more_than_256_kilobytes_gets_413_even_if_it_has_other_errors(
    people: People,
) -> None:
    ann = people.one()
    below_limit, above_limit = ({"op": "create", "title": "x" * length} for length in (260_000, 270_000))

    assert (await batch(ann, below_limit)).status_code == 400  # the title is too long
    assert (await batch(ann, below_limit, above_limit)).status_code == 413


async def test_a_batch_with_an_idempotency_key_is_done_once(people: People) -> None:
    ann, key = people.one(), {"idempotency-key": f'"{uuid4()}"'}
    create = {"op": "create", "title": "x"}

    refused = await batch(ann, create, {"op": "delete", "id": ID}, headers=key)
    answers = await asyncio.gather(*(batch(ann, create, create, headers=key) for _ in range(10)))
    again = await batch(ann, create, create, headers=key)
    other = await batch(ann, create, headers=key)

    assert refused.status_code == 404
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert {answer.content for answer in answers if answer.status_code == 200} == {again.content}
    assert again.headers["idempotency-replayed"] == "true"
    assert other.status_code == 422
    assert await ann.titles() == ["x", "x"]


async def test_of_ten_batches_at_once_that_require_the_same_versions_exactly_one_succeeds(
    people: People,
) -> None:
    ann = people.one()
    tasks = [await ann.create() for _ in range(5)]

    for version in range(1, 6):
        writes = [
            [
                {"op": "update", "id": task["id"], "if_match": f'"{version}"', "title": f"{version} {writer}"}
                for task in order
            ]
            for writer, order in enumerate([tasks, tasks[::-1]] * 5)
        ]
        answers = await asyncio.gather(*(batch(ann, *operations) for operations in writes))

        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9
        assert len(set(await ann.titles())) == 1


async def test_batch_in_a_path_is_not_read_as_a_task_id(people: People) -> None:
    ann = people.one()

    for method in ("GET", "PUT", "DELETE"):
        answer = await ann.ask(method, "batch", json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")


async def test_an_if_match_of_more_than_a_thousand_characters_is_refused_with_its_place(
    people: People,
) -> None:
    ann = people.one()
    task = await ann.create()
    operation = {"op": "delete", "id": task["id"], "if_match": ", ".join(['"7"'] * 500)}

    response = await ann.ask("POST", "batch", json={"operations": [operation]})

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/operations/0/if_match"
    assert "at most 1000 characters" in response.json()["detail"]
