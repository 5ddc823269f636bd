"""PATCH: JSON Merge Patch (RFC 7396)."""

from typing import Any

import pytest

from tests.support.people import People

pytestmark = pytest.mark.server

FULL: dict[str, Any] = {"description": "d", "due": "2026-01-31", "priority": "high", "tags": ["a"]}
SET_BY_SERVER = ("version", "updated_at")


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"title": " y "}, {"title": "y"}),
        ({"description": None}, {"description": None}),
        ({"due": None}, {"due": None}),
        ({"priority": None}, {"priority": "none"}),
        ({"tags": None}, {"tags": []}),
        (
            {"due": "2026-02-01T00:00:00Z", "tags": ["b"]},
            {"due": "2026-02-01T00:00:00.000000Z", "tags": ["b"]},
        ),
    ],
)
@pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/json"])
async def test_a_patch_changes_the_given_fields_only(
    people: People, media_type: str, patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    ann = people.one()
    task = await ann.create(**FULL)

    response = await ann.ask("PATCH", task["id"], json=patch, headers={"content-type": media_type})

    changed = response.json()
    assert response.status_code == 200
    assert changed["version"] == 2
    assert changed["updated_at"] > task["updated_at"]
    assert changed == {**task, **expected, **{name: changed[name] for name in SET_BY_SERVER}}


@pytest.mark.parametrize("patch", [{}, {"title": " x "}, FULL, {"completed": False}])
async def test_a_change_without_effect_keeps_the_version(people: People, patch: dict[str, Any]) -> None:
    ann = people.one()
    task = await ann.create("x", **FULL)

    response = await ann.ask("PATCH", task["id"], json=patch)

    assert response.json() == task
    assert response.headers["etag"] == '"1"'
    assert (await ann.ask("GET", task["id"])).json() == task


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"title": None}, "/title"),
        ({"completed": None}, "/completed"),
        ({"id": "x"}, "/id"),
        ({"position": "V"}, "/position"),
        ({"titel": None}, "/titel"),
        ({"tags": ["a", None]}, "/tags/1"),
        ([], ""),
        (None, ""),
    ],
)
async def test_an_invalid_patch_is_refused_with_the_place_of_the_error(
    people: People, patch: Any, pointer: str
) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask("PATCH", task["id"], json=patch)

    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert (await ann.ask("GET", task["id"])).json() == task


async def test_another_media_type_gets_415(people: People) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask(
        "PATCH", task["id"], content=b"[]", headers={"content-type": "application/json-patch+json"}
    )

    assert response.status_code == 415
    assert response.json()["detail"] == (
        "The body was sent as `application/json-patch+json`. "
        "Send it as `application/merge-patch+json` or `application/json`, in UTF-8."
    )
