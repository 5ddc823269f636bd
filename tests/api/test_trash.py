"""The trash: a deleted task can be restored until it is deleted permanently."""

import pytest

from tests.support.factories import a_task_id
from tests.support.people import People

pytestmark = pytest.mark.server

OPERATIONS = {
    "read": ("GET", "", None),
    "put": ("PUT", "", {"title": "y"}),
    "patch": ("PATCH", "", {"title": "y"}),
    "toggle": ("PATCH", "/complete", None),
    "delete": ("DELETE", "", None),
    "move": ("POST", "/move", {"before": "019a8f3e-5c00-7b1c-8c5e-2f6d1a9b4e70"}),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_task_in_the_trash_gets_404_from_every_operation_but_restore_and_permanent_delete(
    people: People, operation: str
) -> None:
    ann = people.one()
    task = await ann.create()
    assert (await ann.ask("DELETE", task["id"])).status_code == 204

    method, path, body = OPERATIONS[operation]
    response = await ann.ask(method, f"{task['id']}{path}", **({"json": body} if body else {}))

    assert response.status_code == 404
    assert await ann.titles() == []


async def test_a_restored_task_has_all_its_old_fields_but_a_new_version(people: People) -> None:
    ann = people.one()
    task = await ann.create(
        "x", description="d", due="2026-01-31", priority="low", tags=["a"], completed=True
    )
    await ann.ask("DELETE", task["id"])

    response = await ann.ask("POST", f"{task['id']}/restore")

    restored = response.json()
    assert response.status_code == 200
    assert restored == {**task, "version": 3, "updated_at": restored["updated_at"]}
    assert (await ann.ask("GET")).json() == [restored]


async def test_restoring_a_task_that_is_not_in_the_trash_gets_409_not_in_trash(
    people: People,
) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask("POST", f"{task['id']}/restore")

    assert response.status_code == 409
    assert response.json()["type"] == "/problems/not-in-trash"


@pytest.mark.parametrize("trashed_first", [True, False])
async def test_a_permanently_deleted_task_cannot_be_restored(people: People, trashed_first: bool) -> None:  # noqa: FBT001
    ann = people.one()
    task = await ann.create()
    if trashed_first:
        await ann.ask("DELETE", task["id"])

    assert (await ann.ask("DELETE", f"{task['id']}?permanent=true")).status_code == 204

    assert (await ann.ask("POST", f"{task['id']}/restore")).status_code == 404
    assert (await ann.ask("DELETE", f"{task['id']}?permanent=true")).status_code == 404


async def test_a_task_in_the_trash_of_another_person_and_an_absent_task_get_404(people: People) -> None:
    ann, bob = people.one("ann"), people.one("bob")
    task = await ann.create()
    await ann.ask("DELETE", task["id"])

    for path in (task["id"], a_task_id()):
        assert (await bob.ask("POST", f"{path}/restore")).status_code == 404
        assert (await bob.ask("DELETE", f"{path}?permanent=true")).status_code == 404

    assert (await ann.ask("POST", f"{task['id']}/restore")).status_code == 200


@pytest.mark.parametrize("permanent", ["yes", "1", "", "TRUE"])
async def test_permanent_must_be_true_or_false(people: People, permanent: str) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask("DELETE", f"{task['id']}?permanent={permanent}")

    assert response.status_code == 400
    assert response.json()["errors"] == [
        {"pointer": "/permanent", "detail": "must be true or false", "in": "query"}
    ]
    assert (await ann.ask("DELETE", f"{task['id']}?permanent=false")).status_code == 204
    assert (await ann.ask("POST", f"{task['id']}/restore")).status_code == 200
