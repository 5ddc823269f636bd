"""Each kind of client, with its usual headers and bodies, can use every operation on tasks except event streams.

Each kind imitates the library that it is named after. Real clients that are installed (`tests.clients.real`) send
the same requests.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.api.problems import PROBLEMS
from app.domain.errors import TaskNotFound
from tests.clients.real import REAL, RealHttpClient
from tests.support.factories import someone
from tests.support.people import ORIGIN
from tests.support.servers.service import Service

pytestmark = pytest.mark.server

JSON = "application/json"
PROBLEM = "application/problem+json"
Sent = tuple[bytes | Iterator[bytes] | None, dict[str, str]]  # a body, and its headers


def plain(body: Any) -> Sent:
    """Send JSON where there is a body, and nothing where there is none."""
    return (None, {}) if body is None else (json.dumps(body).encode(), {"content-type": JSON})


def always_with_type(body: Any) -> Sent:
    """Send a content type even without a body."""
    return (b"" if body is None else json.dumps(body).encode()), {"content-type": JSON}


def form_without_body(body: Any) -> Sent:
    """Send an empty form where there is no body, as axios and `curl -d ''` do."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    return (b"", form) if body is None else (json.dumps(body).encode(), {"content-type": JSON})


def empty_object(body: Any) -> Sent:
    """Send `{}` where there is no body."""
    return json.dumps({} if body is None else body).encode(), {
        "content-type": "application/json;charset=UTF-8"
    }


def null(body: Any) -> Sent:
    """Send `null` where there is no body."""
    return json.dumps(body).encode(), {"content-type": "application/json; charset=utf8"}


def in_chunks(body: Any) -> Sent:
    """Send a body of unknown length, even an empty one."""
    return iter([b"" if body is None else json.dumps(body).encode()]), {"content-type": JSON}


@dataclass(frozen=True)
class Kind:
    """The habits of a kind of client."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    body: Callable[[Any], Sent] = plain
    delete_accepts: str = ""  # `Accept` of a DELETE, if it differs
    puts_whole_task: bool = False  # a PUT has all members of the task that the client read
    needs_cors: bool = False  # a response must allow the client's origin and its credentials


KINDS = {
    "fetch": Kind([("accept", "*/*"), ("accept-language", "*"), ("sec-fetch-mode", "cors")]),
    "fetch of a page, with credentials": Kind(
        [("accept", "*/*"), ("origin", ORIGIN), ("cookie", "a=b")], needs_cors=True
    ),
    "axios": Kind([("accept", "application/json, text/plain, */*")], form_without_body),
    "openapi-generator": Kind([("accept", JSON)], always_with_type, delete_accepts=PROBLEM),
    "HTTPie": Kind([("accept", "application/json, */*;q=0.5"), ("accept-encoding", "gzip, deflate")], null),
    "httpx": Kind([("accept", "*/*"), ("accept-encoding", "gzip, deflate, br, zstd")]),
    "curl": Kind([("accept", "*/*"), ("user-agent", "curl/8.5.0")], form_without_body),
    "Go": Kind([("user-agent", "Go-http-client/1.1"), ("accept-encoding", "gzip")], in_chunks),
    "React-admin": Kind(
        [("accept", JSON), ("origin", ORIGIN)], empty_object, puts_whole_task=True, needs_cors=True
    ),
    "a proxy that adds a line": Kind([("accept", "text/html"), ("accept", JSON)], always_with_type),
    "Spring": Kind([("accept", f"{JSON}, application/*+json"), ("connection", "keep-alive")], empty_object),
}


class Client:
    """One person's client with the habits of its kind."""

    def __init__(self, service: Service, kind: Kind) -> None:
        self._kind = kind
        self._token = service.token(someone("ann"))
        self._http = httpx.Client(base_url=service.url)
        self._http.headers.clear()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request, and check the CORS headers if the client needs them."""
        accept = self._kind.delete_accepts if method == "DELETE" else ""
        lines = [header for header in self._kind.headers if not (accept and header[0] == "accept")]
        lines += [("accept", accept)] if accept else []
        content, type_headers = (None, {}) if method in ("GET", "DELETE") else self._kind.body(body)
        lines += [("authorization", f"Bearer {self._token}"), *type_headers.items(), *headers.items()]
        answer = self._http.request(method, f"/api/me/tasks{path}", content=content, headers=lines)
        if self._kind.needs_cors:
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert answer.headers["access-control-allow-credentials"] == "true"
        return answer

    def close(self) -> None:
        """End the client's connections."""
        self._http.close()


class RealClient:
    """One person's client that chooses its own headers."""

    def __init__(self, service: Service, real: RealHttpClient) -> None:
        self._url = f"{service.url}/api/me/tasks"
        self._authorization = f"Bearer {service.token(someone('ann'))}"
        self._real = real

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request."""
        all_headers = {"authorization": self._authorization, **headers}
        return self._real.ask(method, f"{self._url}{path}", body, all_headers)

    def close(self) -> None:
        """End the client's connections."""
        self._real.close()


@pytest.fixture(params=[*KINDS, *REAL])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kind(name: str) -> Kind:
    return KINDS.get(name, Kind())


@pytest.fixture
def client(service: Service, name: str, kind: Kind) -> Iterator[Client | RealClient]:
    client = RealClient(service, REAL[name]()) if name in REAL else Client(service, kind)
    yield client
    client.close()


def test_every_operation_of_the_client_has_the_expected_result(
    client: Client | RealClient, kind: Kind
) -> None:
    made = client.ask("POST", "", {"title": "water the plants"})
    task = made.json()
    path = f"/{task['id']}"
    other = client.ask("POST", "", {"title": "feed the cat"}).json()
    body = {**task, "title": "water all plants"} if kind.puts_whole_task else {"title": "water all plants"}

    done = {
        "list": client.ask("GET", ""),
        "summary": client.ask("GET", "/summary"),
        "read": client.ask("GET", path),
        "update": client.ask("PUT", path, body),
        "patch": client.ask("PATCH", path, {"tags": ["home"]}),
        "toggle": client.ask("PATCH", f"{path}/complete"),
        "toggle again": client.ask("PATCH", f"{path}/complete"),
        "complete": client.ask("PATCH", f"{path}/complete", {"completed": True}),
        "move": client.ask("POST", f"{path}/move", {"before": other["id"]}),
        "batch": client.ask("POST", "/batch", {"operations": [{"op": "create", "title": "x"}]}),
        "delete": client.ask("DELETE", path),
        "restore the task": client.ask("POST", f"{path}/restore"),
        "changes": client.ask("GET", "/changes"),
    }

    assert made.status_code == 201
    statuses = {name: answer.status_code for name, answer in done.items()}
    assert statuses == {**dict.fromkeys(done, 200), "delete": 204}
    assert [task["title"] for task in done["list"].json()] == ["feed the cat", "water the plants"]
    assert [done[name].json()["completed"] for name in ("toggle", "toggle again", "complete")] == [
        True,
        False,
        True,
    ]
    assert done["patch"].json()["title"] == "water all plants"


def test_the_detail_of_a_problem_says_what_is_wrong_and_where(client: Client | RealClient) -> None:
    refused = [
        client.ask("POST", "", {"title": 7}),
        client.ask("POST", "", {"title": "x", "dueDate": "2026-01-09"}),
        client.ask("GET", "?sort_by=created"),
        client.ask("GET", f"/{uuid4()}"),
    ]

    assert [answer.status_code for answer in refused] == [400, 400, 400, 404]
    assert all(answer.headers["content-type"] == PROBLEM for answer in refused)
    details = [answer.json()["detail"] for answer in refused]
    assert details[0].startswith("title: ")
    assert details[1].startswith("dueDate: ")
    assert "`due`" in details[1]
    assert "`sort=-created`" in details[2]
    assert details[3] == PROBLEMS[TaskNotFound].detail


def test_a_client_that_does_not_follow_link_gets_all_75_tasks(
    client: Client | RealClient,
) -> None:
    many = [{"op": "create", "title": f"task {number}"} for number in range(75)]
    client.ask("POST", "/batch", {"operations": many})

    listed = client.ask("GET", "")

    assert len(listed.json()) == 75
    assert "link" not in listed.headers


def test_pages_and_conditional_requests_work_through_their_headers(client: Client | RealClient) -> None:
    many = [{"op": "create", "title": f"task {number}"} for number in range(5)]
    client.ask("POST", "/batch", {"operations": many})
    seen, path = list[str](), "?limit=2"

    while path:
        page = client.ask("GET", path)
        seen += [task["title"] for task in page.json()]
        link = page.links.get("next", {}).get("url", "")
        path = link.removeprefix("/api/me/tasks")
    task = client.ask("GET", f"/{page.json()[0]['id']}")
    first = client.ask(
        "PATCH", f"/{task.json()['id']}", {"title": "mine"}, **{"if-match": task.headers["etag"]}
    )
    second = client.ask(
        "PATCH", f"/{task.json()['id']}", {"title": "late"}, **{"if-match": task.headers["etag"]}
    )

    assert len(set(seen)) == len(seen) == 5
    assert (first.status_code, second.status_code) == (200, 412)
