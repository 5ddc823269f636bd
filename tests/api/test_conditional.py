"""If-Match and If-None-Match (RFC 9110 §13): nobody overwrites what they have not seen."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.factories import a_task_id
from tests.support.people import People, Person

pytestmark = pytest.mark.server

BESIDE = object()  # means a body that names another task
WRITES: Mapping[str, tuple[str, str, Any]] = {
    "put": ("PUT", "{id}", {"title": "y"}),
    "patch": ("PATCH", "{id}", {"title": "y"}),
    "empty patch": ("PATCH", "{id}", {}),
    "toggle": ("PATCH", "{id}/complete", None),
    "complete": ("PATCH", "{id}/complete", {"completed": True}),
    "move": ("POST", "{id}/move", BESIDE),
    "trash": ("DELETE", "{id}", None),
    "delete permanently": ("DELETE", "{id}?permanent=true", None),
    "restore": ("POST", "{id}/restore", None),
}
# A restore gets 409, because the task is not in the trash. The service checks this after `If-Match`.
SUCCESS = dict.fromkeys(WRITES, (200, 204)) | {"restore": (409,)}


async def send_write(
    person: Person, write: str, task_id: object, beside: object, if_match: str | bytes | None
) -> Any:
    """Send a write of a task; a move goes before the task `beside`."""
    method, path, body = WRITES[write]
    if body is BESIDE:
        body = {"before": str(beside)}
    headers = {} if if_match is None else {"if-match": if_match}
    arguments = {} if body is None else {"json": body}
    return await person.ask(method, path.format(id=task_id), headers=headers, **arguments)


@pytest.mark.parametrize("write", WRITES)
async def test_given_an_old_version_then_a_write_gets_412_and_writes_nothing(
    people: People, write: str
) -> None:
    ann = people.one()
    task, other = await ann.create(), await ann.create()
    before = (await ann.ask("PATCH", task["id"], json={"title": "seen by nobody"})).json()

    response = await send_write(ann, write, task["id"], other["id"], '"1"')

    assert response.status_code == 412
    assert response.headers["etag"] == '"2"'
    assert response.json()["type"] == "/problems/task-changed"
    assert (await ann.ask("GET", task["id"])).json() == before


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("if_match", ['"1"', "*", '"7", "1"', ' "x" ,, "1",'])
async def test_given_the_current_version_then_the_write_is_done(
    people: People, write: str, if_match: str
) -> None:
    ann = people.one()
    task, other = await ann.create(), await ann.create()

    response = await send_write(ann, write, task["id"], other["id"], if_match)

    assert response.status_code in SUCCESS[write]


@pytest.mark.parametrize("if_match", ['W/"1"', '"01"', '"2"', '"x"', '""'])
async def test_a_weak_or_different_etag_gets_412(people: People, if_match: str) -> None:
    ann = people.one()
    task = await ann.create()

    response = await send_write(ann, "toggle", task["id"], None, if_match)

    assert response.status_code == 412
    assert (await ann.ask("GET", task["id"])).json() == task


@pytest.mark.parametrize("if_match", ['"1', "1", '"1" "2"'])
async def test_a_malformed_if_match_gets_400(people: People, if_match: str) -> None:
    ann = people.one()
    task = await ann.create()

    response = await send_write(ann, "toggle", task["id"], None, if_match)

    error = response.json()["errors"][0]
    assert (response.status_code, error["pointer"], error["in"]) == (400, "/If-Match", "header")
    assert (await ann.ask("GET", task["id"])).json() == task


@pytest.mark.parametrize("if_match", ['W/"1"', '"x"', '"01", W/"1"', '"\x80"', f'"{"x" * 500}"'])
async def test_an_etag_that_can_never_match_gets_412_with_that_reason(people: People, if_match: str) -> None:
    ann = people.one()
    task = await ann.create()
    batch = {"operations": [{"op": "complete", "id": task["id"], "if_match": if_match}]}
    shown = {'"\x80"': '"\\x80"', f'"{"x" * 500}"': f'"{"x" * 99}…'}.get(if_match, if_match)

    of_one = await send_write(ann, "patch", task["id"], None, if_match.encode("latin-1"))
    of_batch = await ann.ask("POST", "batch", json=batch)

    assert (of_one.status_code, of_batch.status_code) == (412, 412)
    assert of_one.json()["type"] == of_batch.json()["type"] == "/problems/task-changed"
    assert of_one.headers["etag"] == '"1"'
    assert "etag" not in of_batch.headers
    detail = of_one.json()["detail"]
    assert detail.startswith(f"`If-Match` was `{shown}`, which no task ever matches. A weak entity tag")
    assert of_batch.json()["errors"] == [{"pointer": "/operations/0", "detail": detail}]


async def test_an_etag_of_an_old_version_gets_412_because_the_task_changed(people: People) -> None:
    ann = people.one()
    task = await ann.create()

    response = await send_write(ann, "patch", task["id"], None, 'W/"1", "2"')

    assert response.status_code == 412
    assert response.json()["detail"].startswith("The task was changed after you read it")


async def test_a_version_in_a_body_is_refused_by_patch_and_ignored_by_put(people: People) -> None:
    ann = people.one()
    task = await ann.create("first")
    await ann.ask("PATCH", task["id"], json={"title": "second"})

    patched = await ann.ask("PATCH", task["id"], json={"title": "third", "version": 1})
    put = await ann.ask("PUT", task["id"], json={**task, "title": "fourth"})

    assert (patched.status_code, patched.json()["errors"][0]["pointer"]) == (400, "/version")
    assert (put.status_code, put.json()["title"], put.json()["version"]) == (200, "fourth", 3)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("if_match", ['"1"', 'W/"1"', "*"])
async def test_an_absent_task_gets_404_with_any_if_match(people: People, write: str, if_match: str) -> None:
    ann = people.one()
    other = await ann.create()

    assert (await send_write(ann, write, a_task_id(), other["id"], if_match)).status_code == 404


async def test_every_response_with_one_task_has_its_version_as_etag(people: People) -> None:
    ann = people.one()
    other = await ann.create()
    created = await ann.ask("POST", json={"title": "x"})
    path = created.json()["id"]

    answers = [
        created,
        await ann.ask("GET", path),
        await ann.ask("PUT", path, json={"title": "y"}),
        await ann.ask("PATCH", path, json={"title": "z"}),
        await ann.ask("PATCH", f"{path}/complete"),
        await ann.ask("POST", f"{path}/move", json={"after": other["id"]}),
    ]
    await ann.ask("DELETE", path)
    answers.append(await ann.ask("POST", f"{path}/restore"))

    tags = [answer.headers["etag"] for answer in answers]
    assert tags == ['"1"', '"1"', '"2"', '"3"', '"4"', '"5"', '"7"']
    assert all(answer.headers["etag"] == f'"{answer.json()["version"]}"' for answer in answers)


@pytest.mark.parametrize("known", ['"1"', 'W/"1"', "*", '"x", W/"1"'])
async def test_a_read_of_the_version_that_the_client_has_gets_304_without_a_body(
    people: People, known: str
) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask("GET", task["id"], headers={"if-none-match": known})

    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", '"1"')
    assert "content-type" not in response.headers


@pytest.mark.parametrize("known", ['"2"', "1", "garbage", '"11"', 'x "1" y'])
async def test_a_read_of_another_version_than_the_client_has_gets_the_task(
    people: People, known: str
) -> None:
    ann = people.one()
    task = await ann.create()

    assert (await ann.ask("GET", task["id"], headers={"if-none-match": known})).json() == task


@pytest.mark.parametrize("write", WRITES)
async def test_given_require_if_match_then_a_write_without_it_gets_428_and_an_absent_task_404(
    people_who_must_send_if_match: People, write: str
) -> None:
    ann = people_who_must_send_if_match.one()
    task, other = await ann.create(), await ann.create()

    refused = await send_write(ann, write, task["id"], other["id"], None)
    absent = await send_write(ann, write, a_task_id(), other["id"], None)
    accepted = await send_write(ann, write, task["id"], other["id"], "*")

    assert (refused.status_code, absent.status_code) == (428, 404)
    assert (refused.headers["etag"], refused.json()["type"]) == (
        '"1"',
        "/problems/if-match-required",
    )
    assert accepted.status_code in SUCCESS[write]


@pytest.mark.quiet
async def test_of_twenty_writes_at_once_that_require_the_same_version_exactly_one_is_done(
    people: People,
) -> None:
    ann = people.one()
    task = await ann.create()

    for version in range(1, 21):
        answers = await asyncio.gather(
            *(
                ann.ask(
                    "PATCH",
                    task["id"],
                    json={"title": f"{version} {writer}"},
                    headers={"if-match": f'"{version}"'},
                )
                for writer in range(20)
            )
        )
        statuses = [answer.status_code for answer in answers]
        assert sorted(statuses) == [200] + [412] * 19
        (written,) = [answer.json() for answer in answers if answer.status_code == 200]
        assert (await ann.ask("GET", task["id"])).json() == written
