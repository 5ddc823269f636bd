"""What holds for every path: methods, media types, request ids, CORS, hosts."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app import logs
from app.composition import compose
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import ORIGIN, People

pytestmark = pytest.mark.server

PATHS = {
    "/api/me/tasks": "GET, HEAD, OPTIONS, POST",
    "/api/me/tasks/batch": "OPTIONS, POST",
    "/api/me/tasks/019a8f3e-5c00-7b1c-8c5e-2f6d1a9b4e70": "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
    "/api/me/tasks/019a8f3e-5c00-7b1c-8c5e-2f6d1a9b4e70/complete": "OPTIONS, PATCH",
    "/health": "GET, HEAD, OPTIONS",
    "/openapi.json": "GET, HEAD, OPTIONS",
}


@pytest.mark.parametrize(("path", "methods"), PATHS.items(), ids=PATHS)
async def test_options_lists_every_method_of_a_path_and_needs_no_token(
    people: People, path: str, methods: str
) -> None:
    response = await people.client.options(path)

    assert (response.status_code, response.headers["allow"]) == (204, methods)


@pytest.mark.parametrize(("path", "methods"), PATHS.items(), ids=PATHS)
@pytest.mark.parametrize("method", ["PROPFIND", "TRACE", "get"])
async def test_an_unsupported_method_gets_405_with_the_allowed_methods(
    people: People, path: str, methods: str, method: str
) -> None:
    request = httpx.Request(method, f"http://testserver{path}", headers=people.one().headers)
    request.method = method

    response = await people.client.send(request)

    assert (response.status_code, response.headers["allow"]) == (405, methods)
    assert response.json()["status"] == 405


@pytest.mark.parametrize(
    "path", ["/api", "/api/me", "/api/me/tasks/x/y/z", "/nope", "/api/me/tasks%2Fx/y", "/health/x"]
)
async def test_an_unknown_path_gets_404_as_a_problem_document(people: People, path: str) -> None:
    response = await people.one().ask("DELETE", path)

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["instance"] == path


@pytest.mark.parametrize("path", ["/api/me/tasks", "/health", "/health/ready", "/openapi.json"])
async def test_head_gets_the_headers_of_get_without_the_body(people: People, path: str) -> None:
    ann = people.one()
    got = await ann.ask("GET", path)

    head = await ann.ask("HEAD", path)

    assert head.content == b""
    assert head.status_code == got.status_code == 200
    names = ("content-type", "content-length")
    assert [head.headers[name] for name in names] == [got.headers[name] for name in names]


async def test_a_stopping_service_writes_all_lines_of_its_log(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FLUSH_AFTER", 60)  # seconds: no line is written before the service stops
    logs.configure("info", "json")
    async with client_of(compose(Settings.from_env(environment_for(database_url)))) as client:
        await client.get("/health")
        pending = logs._pending

    assert pending > 0
    assert logs._pending == 0


async def test_the_application_itself_sends_no_body_to_head(database_url: str) -> None:
    app = compose(Settings.from_env(environment_for(database_url)))
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "HEAD", "path": "/health", "raw_path": b"/health", "query_string": b""}
    await app(
        {**scope, "headers": [], "http_version": "1.1", "scheme": "http", "root_path": ""}, receive, send
    )

    assert sent[0]["status"] == 200
    assert b"".join(message.get("body", b"") for message in sent[1:]) == b""


async def test_head_without_a_token_gets_401(people: People) -> None:
    assert (await people.client.head("/api/me/tasks")).status_code == 401


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/xml, text/*",
        "application/json;q=0",
        "image/png;q=0.5",
        "application/json," + "a;q=0," * 200,  # more than 1,024 characters
    ],
)
async def test_given_accept_without_json_then_406(people: People, accept: str) -> None:
    response = await people.one().ask("GET", headers={"accept": accept})

    assert response.status_code == 406


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "text/html, application/*;q=0.1", "APPLICATION/JSON;q=1.0", ""]
)
async def test_given_accept_with_json_then_json_is_sent(people: People, accept: str) -> None:
    response = await people.one().ask("GET", headers={"accept": accept})

    assert response.status_code == 200


async def test_a_request_id_is_kept_in_header_and_problem(people: People) -> None:
    response = await people.one().ask("GET", "/nope", headers={"x-request-id": "My-id_1.2"})

    assert response.headers["x-request-id"] == response.json()["request_id"] == "My-id_1.2"


@pytest.mark.parametrize("hostile", ["", "x" * 65, "a b", 'a"b', "a\tb", "<script>", "ä", "{}"])
async def test_a_hostile_request_id_is_replaced(people: People, hostile: str) -> None:
    response = await people.one().ask("GET", headers={"x-request-id": hostile.encode()})

    assert response.headers["x-request-id"].isalnum()
    assert response.headers["x-request-id"] != hostile


async def test_a_problem_has_every_member_that_rfc_9457_names_and_the_request_id(people: People) -> None:
    problem = (await people.client.get("/api/me/tasks?x=1")).json()

    assert list(problem) == ["type", "title", "status", "detail", "instance", "request_id"]
    assert problem["type"] == "/problems/not-authenticated"
    assert problem["instance"] == "/api/me/tasks"


@pytest.mark.parametrize(
    "headers", [{"authorization": "Basic x"}, {"authorization": "Bearer"}, {"authorization": "Bearer a.b.c"}]
)
async def test_an_authorization_without_a_valid_token_gets_invalid_token(
    people: People, headers: dict[str, str]
) -> None:
    response = await people.client.get("/api/me/tasks", headers=headers)

    assert response.status_code == 401
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="taskward", error="invalid_token", error_description="')


async def test_two_authorization_headers_are_refused(people: People) -> None:
    token = people.one().headers["authorization"]

    response = await people.client.get(
        "/api/me/tasks", headers=[("authorization", token), ("authorization", token)]
    )

    assert response.status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_case_of_bearer_does_not_matter(people: People, scheme: str) -> None:
    token = people.one().headers["authorization"].removeprefix("Bearer ")

    response = await people.client.get("/api/me/tasks", headers={"authorization": f"{scheme} {token}"})

    assert response.status_code == 200


async def test_head_of_a_large_response_has_its_length_and_no_body(people: People) -> None:
    path, plain = "/docs/swagger-ui-bundle.js", {"accept-encoding": "identity"}

    whole = await people.client.get(path, headers=plain)
    head = await people.client.head(path, headers=plain)

    assert len(whole.content) > 1_000_000
    assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))
    assert head.content == b""


async def test_a_preflight_of_an_allowed_origin_needs_no_token(people: People) -> None:
    headers = {
        "origin": ORIGIN,
        "access-control-request-method": "PUT",
        "access-control-request-headers": "authorization",
    }

    response = await people.client.options("/api/me/tasks/x", headers=headers)

    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "PUT" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].split(", ")
    assert {"Authorization", "If-Match", "Idempotency-Key", "traceparent", "tracestate"} <= set(allowed)
    assert response.headers["access-control-allow-credentials"] == "true"


async def test_a_preflight_of_another_origin_gets_no_permission(people: People) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "PUT"}

    response = await people.client.options("/api/me/tasks/x", headers=headers)

    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/api/me/tasks", "/nope", "/api/you/tasks"])
async def test_a_success_a_404_and_a_403_can_be_read_by_a_page_of_an_allowed_origin(
    people: People, path: str
) -> None:
    response = await people.one().ask("GET", path, headers={"origin": ORIGIN})

    assert response.headers["access-control-allow-origin"] == ORIGIN
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert set(exposed) == {
        *("Link", "ETag", "Location", "Retry-After"),
        *("RateLimit", "RateLimit-Policy", "Idempotency-Replayed", "X-Request-ID"),
    }
    assert response.headers["vary"] == "Origin"


@pytest.fixture
async def limited_hosts(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with `ALLOWED_HOSTS`."""
    env = environment_for(database_url, ALLOWED_HOSTS="api.example.com, *.example.org, [::1]")
    app = compose(Settings.from_env(env))
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize("host", ["api.example.com", "API.example.com:8000", "a.b.example.org", "[::1]:80"])
async def test_a_request_for_an_allowed_host_name_is_answered(
    limited_hosts: httpx.AsyncClient, host: str
) -> None:
    assert (await limited_hosts.get("/openapi.json", headers={"host": host})).status_code == 200


async def test_two_host_headers_are_refused_and_the_detail_says_what_to_send(
    limited_hosts: httpx.AsyncClient,
) -> None:
    hosts = [("host", "api.example.com"), ("host", "a.example.org")]

    response = await limited_hosts.get("/openapi.json", headers=hosts)

    assert response.status_code == 400
    assert response.json()["detail"] == "Send one `Host` header with a host name of this service."


@pytest.mark.parametrize(
    "host", ["evil.example", "example.org", "api.example.com.evil.example", "evilexample.org", ""]
)
async def test_a_request_for_another_host_name_is_refused_but_health_is_reported(
    limited_hosts: httpx.AsyncClient, host: str
) -> None:
    response = await limited_hosts.get("/openapi.json", headers={"host": host})

    assert response.status_code == 400
    assert "Host" in response.json()["detail"]
    assert (await limited_hosts.get("/health", headers={"host": host})).status_code == 200
