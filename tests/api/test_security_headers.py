"""Security headers of every response."""

import httpx
import pytest

from app.composition import compose
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import People

pytestmark = pytest.mark.server

API_POLICY = "default-src 'none'; frame-ancestors 'none'"


async def responses_of_each_kind(people: People) -> list[httpx.Response]:
    """Return one response of each kind."""
    ann = people.one()
    task = await ann.create()
    return [
        await ann.ask("GET"),
        await ann.ask("GET", task["id"]),
        await ann.ask("GET", task["id"], headers={"if-none-match": '"1"'}),
        await ann.ask("DELETE", task["id"]),
        await ann.ask("POST", json={}),
        await people.client.get("/api/me/tasks"),
        await ann.ask("GET", "/api/bob/tasks"),
        await people.client.get("/nowhere"),
        await people.client.request("PROPFIND", "/health"),
        await people.client.options("/api/me/tasks"),
        await people.client.get("/health"),
        await people.client.get("/health/ready"),
        await people.client.get("/openapi.json"),
        await people.client.get("/"),
    ]


async def test_every_response_forbids_sniffing_scripts_and_frames(people: People) -> None:
    answers = await responses_of_each_kind(people)

    statuses = [answer.status_code for answer in answers]
    assert statuses == [200, 200, 304, 204, 400, 401, 403, 404, 405, 204, 200, 200, 200, 302]
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    assert {answer.headers["content-security-policy"] for answer in answers} == {API_POLICY}
    assert not [answer for answer in answers if "strict-transport-security" in answer.headers]


async def test_the_policy_of_the_documentation_allows_only_scripts_of_the_service(people: People) -> None:
    for path in ("/docs", "/docs/docs.js", "/docs/nope"):
        policy = (await people.client.get(path)).headers.get_list("content-security-policy")

        assert len(policy) == 1
        assert policy[0].startswith("default-src 'none'; script-src 'self';")
        assert "frame-ancestors 'none'" in policy[0]


async def test_responses_of_health_and_errors_are_not_cached(people: People) -> None:
    answers = [
        answer
        for answer in await responses_of_each_kind(people)
        if answer.status_code >= 400 or "/health" in answer.url.path
    ]

    assert [answer.status_code for answer in answers] == [400, 401, 403, 404, 405, 200, 200]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


async def test_hsts_is_sent_only_if_a_trusted_proxy_reports_tls(database_url: str, people: People) -> None:
    env = environment_for(database_url, TRUSTED_PROXIES="127.0.0.1")
    async with client_of(compose(Settings.from_env(env))) as client:
        by_tls = await client.get("/health", headers={"x-forwarded-proto": "https"})
        without = await client.get("/health", headers={"x-forwarded-proto": "http"})
    untrusted = await people.client.get("/health", headers={"x-forwarded-proto": "https"})

    assert by_tls.headers["strict-transport-security"] == "max-age=63072000"
    assert "strict-transport-security" not in without.headers
    assert "strict-transport-security" not in untrusted.headers
