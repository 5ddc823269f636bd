"""HTTP as existing clients use it. Each test has a habit of some client, and the response that this client needs."""

import gzip
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.people import ORIGIN, People, Person

pytestmark = pytest.mark.server

JSON = "application/json"
WRITES: dict[str, tuple[str, str, Any]] = {
    "PUT": ("PUT", "", {"title": "changed"}),
    "PATCH": ("PATCH", "", {"title": "changed"}),
    "DELETE": ("DELETE", "", None),
    "DELETE permanently": ("DELETE", "?permanent=true", None),
    "complete": ("PATCH", "/complete", {"completed": True}),
    "toggle": ("PATCH", "/complete", None),
    "restore": ("POST", "/restore", None),
    "move": ("POST", "/move", {"after": str(uuid4())}),
}


async def write(ann: Person, name: str, task: dict[str, Any], **headers: str) -> httpx.Response:
    """Send one of `WRITES` to a task, and return the response."""
    method, path, body = WRITES[name]
    content = None if body is None else json.dumps(body)
    if content is not None:
        headers["content-type"] = JSON
    return await ann.ask(method, f"{task['id']}{path}", content=content, headers=headers)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/problem+json", 200),  # generated clients, where an operation has no other content
        ("application/json", 200),
        ("*/*", 200),
        ("application/*;q=0.1", 200),
        ("text/html, application/xhtml+xml, */*;q=0.8", 200),
        ("", 200),
        ("application/json;q=0, */*", 406),  # RFC 9110 §12.5.1: the most specific range decides
        ("application/*;q=0, */*", 406),
        ("application/json;q=0.0", 406),
        ("text/html", 406),
        ("application/problem+json;q=0", 406),
    ],
)
async def test_the_accept_header_decides_between_200_and_406(
    people: People, accept: str, status: int
) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask("GET", task["id"], headers={"accept": accept})

    assert response.status_code == status


async def test_a_delete_with_accept_problem_json_succeeds(people: People) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask("DELETE", task["id"], headers={"accept": "application/problem+json"})

    assert response.status_code == 204


async def test_two_accept_headers_are_combined(people: People) -> None:
    ann = people.one()
    headers = [*ann.headers.items(), ("accept", "text/html"), ("accept", "application/json")]

    response = await people.client.get("/api/me/tasks", headers=headers)

    assert response.status_code == 200


@pytest.mark.parametrize("charset", ["utf8", "UTF-8", '"utf-8"', "Utf8"])
async def test_utf_8_by_any_of_its_names_is_read(people: People, charset: str) -> None:
    response = await people.one().ask(
        "POST", content=b'{"title": "x"}', headers={"content-type": f"application/json; charset={charset}"}
    )

    assert response.status_code == 201


@pytest.mark.parametrize("charset", ["utf-7", "utf-16", "latin-1", ""])
async def test_another_charset_is_refused(people: People, charset: str) -> None:
    response = await people.one().ask(
        "POST", content=b'{"title": "x"}', headers={"content-type": f"application/json; charset={charset}"}
    )

    assert response.status_code == 415


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        *((body, JSON) for body in (b"{}", b" { } ", b"null")),
        *(
            (body, content_type)
            for body in (b"", "chunks")
            for content_type in (None, JSON, "application/x-www-form-urlencoded", "text/plain", "")
        ),
    ],
)
async def test_completing_with_an_empty_body_of_any_media_type_toggles(
    people: People, body: bytes | str, content_type: str | None
) -> None:
    ann = people.one()
    task = await ann.create()

    async def chunks() -> Any:
        for _ in range(2):
            yield b""

    response = await ann.ask(
        "PATCH",
        f"{task['id']}/complete",
        content=chunks() if body == "chunks" else body,
        headers={} if content_type is None else {"content-type": content_type},
    )

    assert response.status_code == 200, response.text
    assert response.json()["completed"] is True


@pytest.mark.parametrize("name", WRITES)
async def test_if_none_match_star_stops_each_write_of_an_existing_task(people: People, name: str) -> None:
    ann = people.one()
    task = await ann.create()

    response = await write(ann, name, task, **{"if-none-match": "*"})

    assert (response.status_code, response.headers["etag"]) == (412, '"1"')
    assert (response.json()["type"], response.json()["title"]) == ("about:blank", "Precondition Failed")
    assert "The task exists" in response.json()["detail"]
    assert (await ann.ask("GET", task["id"])).json() == task


@pytest.mark.parametrize("name", WRITES)
async def test_if_none_match_with_a_version_is_refused_for_a_write(people: People, name: str) -> None:
    ann = people.one()
    task = await ann.create()

    response = await write(ann, name, task, **{"if-none-match": '"1"'})

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/If-None-Match"


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_of_an_absent_task_with_if_none_match_star_gets_404(people: People, name: str) -> None:
    response = await write(people.one(), name, {"id": str(uuid4())}, **{"if-none-match": "*"})

    assert response.status_code == 404


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_a_listed_origin_may_send_credentials_and_another_may_not(people: People, method: str) -> None:
    ann = people.one()

    async def allowed(origin: str) -> str | None:
        headers = {"origin": origin, "access-control-request-method": "GET"}
        response = await ann.ask(method, headers=headers)
        credentials: str | None = response.headers.get("access-control-allow-credentials")
        return credentials

    assert await allowed(ORIGIN) == "true"
    assert await allowed("https://evil.example.com") is None


@pytest.mark.parametrize("name", ["create", "PUT", "PATCH", "complete", "move", "batch"])
async def test_a_compressed_body_is_refused_because_of_its_content_coding(people: People, name: str) -> None:
    ann = people.one()
    task = await ann.create()
    paths = {"create": ("POST", ""), "batch": ("POST", "batch")}
    method, path = paths.get(name) or (WRITES[name][0], f"{task['id']}{WRITES[name][1]}")

    response = await ann.ask(
        method,
        path,
        content=gzip.compress(b'{"title": "x"}'),
        headers={"content-type": JSON, "content-encoding": "gzip"},
    )

    assert response.status_code == 415
    assert "Content-Encoding" in response.json()["detail"]
    assert response.headers["accept-encoding"] == "identity"


async def test_detail_has_the_first_error_and_errors_has_all(people: People) -> None:
    response = await people.one().ask("POST", json={"title": 5, "completed": "yes"})

    problem = response.json()
    assert problem["detail"] == "title: must be a string, not a number"
    assert [error["pointer"] for error in problem["errors"]] == ["/title", "/completed"]


async def test_unreadable_json_is_reported_as_the_only_error(people: People) -> None:
    response = await people.one().ask("POST", content=b'{"title"', headers={"content-type": JSON})

    assert [error["pointer"] for error in response.json()["errors"]] == [""]
    assert (
        response.json()["detail"]
        == "body: cannot be read as JSON: Expecting ':' delimiter, at line 1 column 9"
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("due_date", "due"),
        ("dueDate", "due"),
        ("is_completed", "completed"),
        ("status", "completed"),
        ("descripton", "description"),
        ("Title", "title"),
        ("piority", "priority"),
        ("labels", "tags"),
    ],
)
async def test_a_misspelt_field_gets_a_hint_in_post_put_patch_and_batch(
    people: People, name: str, meant: str
) -> None:
    ann = people.one()
    task = await ann.create()
    body = {"title": "x", name: "y"}
    responses = [
        await ann.ask("POST", json=body),
        await ann.ask("PUT", task["id"], json=body),
        await ann.ask("PATCH", task["id"], json=body),
        await ann.ask("POST", "batch", json={"operations": [{"op": "create", **body}]}),
    ]

    details = [answer.json()["errors"][-1]["detail"] for answer in responses]

    assert details == [f"unknown field; did you mean `{meant}`?"] * 4


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("search=x", "q"),
        ("sort_by=x", "sort=-created"),
        ("order=x", "sort=-created"),
        ("tags=x", "tag"),
        ("page=2", "cursor"),
        ("offset=2", "cursor"),
        ("skip=2", "cursor"),
        ("per_page=2", "limit"),
        ("complete=true", "completed"),
        ("priority=MEDIUM", "medium"),
        ("sort=-Created", "-created"),
    ],
)
async def test_a_misspelt_parameter_or_value_gets_a_hint(people: People, query: str, meant: str) -> None:
    response = await people.one().ask("GET", f"/api/me/tasks?{query}")

    assert response.status_code == 400
    assert f"did you mean `{meant}`?" in response.json()["detail"]


async def test_a_name_unlike_every_known_one_or_a_very_long_one_gets_no_hint(people: People) -> None:
    for name in ("zzzzzz", "title" * 1_000):
        response = await people.one().ask("POST", json={"title": "x", name: 1})
        assert response.json()["errors"][0]["detail"] == "unknown field"


async def test_two_sort_keys_are_refused_with_that_reason_and_without_a_hint(people: People) -> None:
    response = await people.one().ask("GET", "/api/me/tasks?sort=due,title")

    assert response.status_code == 400
    assert response.json()["detail"].endswith("; a list has one sort key only")
    assert "did you mean" not in response.json()["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_an_empty_due_date_is_refused_with_the_advice_to_send_null(people: People, method: str) -> None:
    ann = people.one()
    task = await ann.create()

    response = await ann.ask(method, "" if method == "POST" else task["id"], json={"title": "x", "due": ""})

    assert response.status_code == 400
    assert response.json()["detail"].endswith("(RFC 3339); null means no due date")


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (None, "no Authorization header"),
        ("Basic YTpi", "`Bearer <token>`"),
        ("Bearer", "`Bearer <token>`"),
        ("Bearer AbCdEf0123456789.c2lnbmF0dXJl", "not a JWT"),
        ("Bearer undefined", "no token yet"),
        ("Bearer null", "no token yet"),
        ("Bearer None", "no token yet"),
        ("Bearer Bearer eyJhbGciOiJIUzI1NiJ9.e30.e30", "`Bearer` is there twice"),
        ("Bearer bearer AbCdEf0123456789", "`Bearer` is there twice"),
        ("Bearer e30.e30.e30", "not valid here"),
    ],
)
async def test_a_401_says_what_is_wrong_with_the_request(
    people: People, authorization: str | None, words: str
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}

    response = await people.client.get("/api/me/tasks", headers=headers)

    assert response.status_code == 401
    assert words in response.json()["detail"]
    challenge = response.headers["www-authenticate"]
    assert ("error_description" in challenge) is (authorization is not None)
