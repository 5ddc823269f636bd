"""Bad input gets a problem document with each error and its place, never a 500. It changes nothing."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.quoting import quote
from tests.support.people import People, Person

pytestmark = pytest.mark.server

DEEP = b"[" * 100_000
NOT_ONE_OBJECT = {
    "an empty body": b"",
    "no JSON": b"title=x",
    "half of an object": b'{"title": "x"',
    "not UTF-8": b'{"title": "\xff"}',
    "UTF-16": '{"title": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"title": "x"}',
    "half of a surrogate pair": b'{"title": "\\ud800"}',
    "half of a surrogate pair, raw": b'{"title": "\xed\xa0\x80"}',
    "a member twice": b'{"title": "x", "title": "y"}',
    "a member twice, escaped": b'{"title": "x", "titl\\u0065": "y"}',
    "NaN": b'{"title": NaN}',
    "Infinity": b'{"title": -Infinity}',
    "a number too large for a float": b'{"title": 1e999}',
    "a number of five thousand digits": b'{"title": ' + b"9" * 5000 + b"}",
    "a deep array without its end": DEEP,
    "a deep array": DEEP + b"]" * 100_000,
    "a deep object": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "two documents": b'{"title": "x"} {}',
    "an array": b'["title"]',
    "a string": b'"title"',
    "null": b"null",
}
WRONG: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no title": ({}, {"/title"}),
    "a blank title": ({"title": " \t "}, {"/title"}),
    "a long title": ({"title": "x" * 256}, {"/title"}),
    "NUL in the title": ({"title": "a\0b"}, {"/title"}),
    "a number for a title": ({"title": 1}, {"/title"}),
    "null for a title": ({"title": None}, {"/title"}),
    "a long description": ({"title": "x", "description": "x" * 10_001}, {"/description"}),
    "NUL in the description": ({"title": "x", "description": "\0"}, {"/description"}),
    "an array for a description": ({"title": "x", "description": []}, {"/description"}),
    "a word for a boolean": ({"title": "x", "completed": "true"}, {"/completed"}),
    "a number for a boolean": ({"title": "x", "completed": 1}, {"/completed"}),
    "null for a boolean": ({"title": "x", "completed": None}, {"/completed"}),
    "an unknown member": ({"title": "x", "a/b~c": 1}, {"/a~1b~0c"}),
    "everything at once": (
        {"title": "", "description": 5, "completed": "yes", "x": 1, "id": "y"},
        {"/title", "/description", "/completed", "/x", "/id"},
    ),
}


async def send(person: Person, body: bytes, method: str = "POST", path: str = "", **headers: str) -> Any:
    """Send a body as JSON, and return the response."""
    headers = {"content-type": "application/json", **headers}
    return await person.ask(method, path, content=body, headers=headers)


@pytest.mark.parametrize("body", NOT_ONE_OBJECT.values(), ids=NOT_ONE_OBJECT)
async def test_a_body_that_is_not_one_json_object_is_refused(people: People, body: bytes) -> None:
    ann = people.one()

    response = await send(ann, body)

    problem = response.json()
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["errors"][0]["detail"]
    assert await ann.titles() == []


@pytest.mark.parametrize(("body", "pointers"), WRONG.values(), ids=WRONG)
async def test_every_error_in_a_body_is_reported_with_its_place(
    people: People, body: dict[str, Any], pointers: set[str]
) -> None:
    ann = people.one()

    response = await ann.ask("POST", json=body)

    assert response.status_code == 400
    assert {error["pointer"] for error in response.json()["errors"]} == pointers
    assert await ann.titles() == []


async def test_a_body_with_very_many_errors_gets_the_first_hundred(people: People) -> None:
    response = await people.one().ask("POST", json={str(number): 1 for number in range(5000)})

    assert response.status_code == 400
    assert len(response.json()["errors"]) == 100


async def test_errors_of_path_query_and_body_are_reported_together(people: People) -> None:
    response = await people.one().ask("PUT", "not-a-uuid", params={"x": "1"}, json={"title": ""})

    errors = response.json()["errors"]
    assert response.status_code == 400
    assert [(error.get("in", "body"), error["pointer"]) for error in errors] == [
        ("path", "/task_id"),
        ("query", "/x"),
        ("body", "/title"),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        "x",
        "0" * 36,
        "{019a8f3e-5c00-7b1c-8c5e-2f6d1a9b4e70}",
        "019a8f3e5c007b1c8c5e2f6d1a9b4e70",
        "%00",
        "%FF",
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_bad_uuid_is_refused(people: People, method: str, bad: str) -> None:
    response = await people.one().ask(method, f"/api/me/tasks/{bad}")

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/task_id"


@pytest.mark.parametrize("query", ["limit=1&limit=2", "x=1", "limit", "%ff=1", "LIMIT=1", "&&x&&"])
async def test_a_bad_query_is_refused(people: People, query: str) -> None:
    assert (await people.one().ask("GET", f"/api/me/tasks?{query}")).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("", "summary", "changes", "events", "{id}")),
        *(("POST", path) for path in ("", "batch", "{id}/move", "{id}/restore")),
        *(("PUT", "{id}"), ("PATCH", "{id}"), ("DELETE", "{id}"), ("PATCH", "{id}/complete")),
    ],
)
async def test_an_unknown_parameter_is_refused_by_every_operation(
    people: People, method: str, path: str
) -> None:
    ann = people.one()
    task = await ann.create()
    body = {"json": {"title": "x"}} if method in ("POST", "PUT") else {}

    response = await ann.ask(method, path.format(id=task["id"]), params={"owner": "bob"}, **body)

    assert response.status_code == 400
    assert "/owner" in {error["pointer"] for error in response.json()["errors"]}
    assert (await ann.ask("GET")).json() == [task]


async def test_a_query_has_at_most_100_parameters(people: People) -> None:
    ann = people.one()

    of_101 = await ann.ask("GET", f"/api/me/tasks?{'&'.join(['x=1'] * 101)}")
    of_100 = await ann.ask("GET", f"/api/me/tasks?{'&'.join(['x=1'] * 100)}")

    assert [error["detail"] for error in of_101.json()["errors"]] == ["has more than 100 parameters"]
    assert of_100.json()["errors"][0]["pointer"] == "/x"  # refused only because the name is unknown


async def test_only_the_first_ten_unknown_names_of_a_request_get_a_hint(people: People) -> None:
    ann = people.one()
    names = [f"titl{number}" for number in range(20)]

    in_body = await ann.ask("POST", json=dict.fromkeys(names, 1))
    in_query = await ann.ask("GET", f"/api/me/tasks?{'&'.join(f'limit{number}=1' for number in range(20))}")

    for refused in (in_body, in_query):
        hinted = ["did you mean" in error["detail"] for error in refused.json()["errors"]]
        assert hinted[:20] == [True] * 10 + [False] * 10


async def test_a_body_over_256_kb_is_too_large(people: People) -> None:
    ann = people.one()
    body = json.dumps({"title": "x", "description": "y" * 256 * 1024}).encode()

    assert (await send(ann, body)).status_code == 413


async def test_a_body_over_256_kb_in_chunks_is_too_large(people: People) -> None:
    async def chunks() -> Any:
        for _ in range(300):
            yield b" " * 1024

    response = await people.one().ask("POST", content=chunks(), headers={"content-type": "application/json"})

    assert response.status_code == 413


@pytest.mark.parametrize(
    "media_type",
    [
        *("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "json", ""),
        "application/json" + ";" * 1_010,  # more than 1,024 characters
    ],
)
async def test_a_body_of_another_media_type_is_refused_before_it_is_read(
    people: People, media_type: str
) -> None:
    too_large = b"x" * 300_000  # would get 413 if it was read

    response = await people.one().ask("POST", content=too_large, headers={"content-type": media_type})

    assert response.status_code == 415
    assert response.headers["content-type"] == "application/problem+json"
    assert (
        response.json()["detail"]
        == f"The body was sent as `{quote(media_type)}`. Send it as `application/json`, in UTF-8."
    )


async def test_a_body_without_a_media_type_or_with_a_content_coding_is_refused(people: People) -> None:
    ann = people.one()

    response = await ann.ask("POST", content=b'{"title":"x"}')
    assert response.status_code == 415
    assert response.json()["detail"].startswith(
        "The body has no `Content-Type`. Send it as `application/json`"
    )
    assert (await send(ann, b'{"title":"x"}', **{"content-encoding": "gzip"})).status_code == 415


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json; profile=x",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
    ],
)
async def test_every_spelling_of_the_json_media_type_is_accepted(people: People, media_type: str) -> None:
    response = await send(people.one(), b'{"title":"x"}', **{"content-type": media_type})

    assert response.status_code == 201


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["title", "description", "completed", "id", "user_id", "created_at"]) | st.text(
    max_size=5
)


@given(body=st.dictionaries(names, json_values, max_size=5) | json_values | st.binary(max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_body_creates_a_task_or_gets_a_problem(people: People, body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    response = await send(people.one(), raw)

    assert response.status_code in (201, 400)
    if response.status_code == 400:
        assert response.json()["errors"]
