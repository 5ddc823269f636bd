"""Too many requests get 429 with `Retry-After`: per address before authentication, per person after it."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from app.composition import compose
from app.infra.statements.lists import page_of
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import ORIGIN, People

pytestmark = pytest.mark.server

HOUR = "/3600"  # a window that does not end within a test
PeopleWith = Callable[..., AbstractAsyncContextManager[People]]


@pytest.fixture
def people_with(database_url: str) -> PeopleWith:
    """A function that starts a service with these settings, and yields people who use it."""

    @asynccontextmanager
    async def start(**env: str) -> AsyncIterator[People]:
        app = compose(Settings.from_env(environment_for(database_url, **env)))
        async with client_of(app) as client:
            yield People(client)

    return start


async def test_a_person_can_send_as_many_requests_as_the_policy_says_and_then_gets_429(
    people_with: PeopleWith,
) -> None:
    async with people_with(RATE_LIMIT_PERSON="3" + HOUR) as people:
        ann = people.one()

        answers = [await ann.ask("GET") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"person";q=3;w=3600'}
    fields = [re.fullmatch(r'"person";r=(\d+);t=(\d+)', answer.headers["ratelimit"]) for answer in answers]
    assert [match and match[1] for match in fields] == ["2", "1", "0", "0"]
    refused, problem = answers[-1], answers[-1].json()
    assert refused.headers["retry-after"] == (fields[-1] and fields[-1][2])
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["cache-control"] == "no-store"
    assert (problem["type"], problem["status"]) == ("/problems/too-many-requests", 429)
    assert problem["request_id"] == refused.headers["x-request-id"]


async def test_an_address_beyond_its_limit_gets_429_before_its_token_is_verified(
    people_with: PeopleWith,
) -> None:
    async with people_with(RATE_LIMIT_ADDRESS="3" + HOUR) as people:
        ann = people.one()

        answers = [await people.client.get("/api/me/tasks") for _ in range(4)]
        good = await ann.ask("GET")

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[0].headers["ratelimit-policy"] == '"address";q=3;w=3600'
    assert answers[0].headers["ratelimit"].startswith('"address";r=2;t=')
    assert (good.status_code, good.json()["type"]) == (429, "/problems/too-many-requests")
    assert good.json()["instance"].startswith("/api/ann")
    assert good.headers["retry-after"]
    assert good.headers["cache-control"] == "no-store"


async def test_other_people_and_public_routes_still_get_responses(people_with: PeopleWith) -> None:
    async with people_with(RATE_LIMIT_PERSON="1" + HOUR) as people:
        ann, bob = people.one("ann"), people.one("bob")
        await ann.ask("GET")

        assert (await ann.ask("GET")).status_code == 429
        assert (await bob.ask("GET")).status_code == 200
        assert (await ann.ask("GET", "/openapi.json")).status_code == 200


async def test_a_403_or_401_is_not_replaced_by_429(people_with: PeopleWith) -> None:
    async with people_with(RATE_LIMIT_PERSON="1" + HOUR) as people:
        ann = people.one()
        await ann.ask("GET")

        assert (await ann.ask("GET", "/api/bob/tasks")).status_code == 403
        assert (await people.client.get("/api/me/tasks")).status_code == 401


async def test_429_is_reported_before_the_errors_of_the_request(people_with: PeopleWith) -> None:
    async with people_with(RATE_LIMIT_PERSON="1" + HOUR) as people:
        ann = people.one()
        await ann.ask("GET")

        answers = [
            await ann.ask("POST", content=b"x", headers={"content-type": "text/plain"}),
            await ann.ask("POST", content=b" " * 300_000, headers={"content-type": "application/json"}),
            await ann.ask("GET", "?x=1"),
            await ann.ask("GET", "not-a-uuid"),
        ]

    assert [answer.status_code for answer in answers] == [429] * 4


async def test_a_refused_request_changes_nothing(people_with: PeopleWith) -> None:
    async with people_with(RATE_LIMIT_PERSON="2" + HOUR) as people:
        ann = people.one()
        await ann.create("kept")
        await ann.create("kept too")

        assert (await ann.ask("POST", json={"title": "not kept"})).status_code == 429

    async with people_with() as again:
        ann.client = again.client
        assert await ann.titles() == ["kept too", "kept"]


async def test_the_limit_is_exact_for_requests_at_the_same_time(people_with: PeopleWith) -> None:
    async with people_with(RATE_LIMIT_PERSON="20" + HOUR) as people:
        ann = people.one()

        answers = await asyncio.gather(*(ann.ask("GET") for _ in range(60)))

    assert Counter(answer.status_code for answer in answers) == {200: 20, 429: 40}


async def test_health_and_options_requests_are_never_limited_or_counted(
    people_with: PeopleWith,
) -> None:
    async with people_with(RATE_LIMIT_ADDRESS="2" + HOUR) as people:
        client = people.client
        for _ in range(10):
            assert (await client.get("/health")).status_code == 200
            assert (await client.get("/health/ready")).status_code == 200
            assert (await client.options("/api/me/tasks")).status_code == 204
        assert (await client.get("/nope")).status_code == 404
        assert (await client.get("/nope")).status_code == 404

        assert (await client.get("/nope")).status_code == 429
        assert (await client.get("/health")).status_code == 200
        assert "ratelimit" not in (await client.get("/health")).headers
        assert (await client.options("/api/me/tasks")).status_code == 204


async def test_a_page_of_an_allowed_origin_can_read_a_429_and_its_retry_after(
    people_with: PeopleWith,
) -> None:
    async with people_with(RATE_LIMIT_ADDRESS="1" + HOUR) as people:
        await people.client.get("/nope")
        refused = await people.client.get("/nope", headers={"origin": ORIGIN})

    assert refused.headers["access-control-allow-origin"] == ORIGIN
    exposed = set(refused.headers["access-control-expose-headers"].split(", "))
    assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= exposed


async def test_head_is_counted_and_refused_without_a_body(people_with: PeopleWith) -> None:
    async with people_with(RATE_LIMIT_ADDRESS="1" + HOUR) as people:
        await people.client.head("/docs")
        refused = await people.client.head("/docs")

    assert (refused.status_code, refused.content) == (429, b"")


async def test_with_rate_limit_off_nothing_is_limited_and_no_rate_limit_header_is_sent(
    people_with: PeopleWith,
) -> None:
    off = {"RATE_LIMIT": "off", "RATE_LIMIT_PERSON": "1" + HOUR, "RATE_LIMIT_ADDRESS": "1" + HOUR}
    async with people_with(**off) as people:
        ann = people.one()

        answers = [await ann.ask("GET") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200] * 5
    assert not [name for name in answers[0].headers if name.startswith("ratelimit")]


async def test_clients_behind_a_trusted_proxy_are_counted_separately(people_with: PeopleWith) -> None:
    async with people_with(RATE_LIMIT_ADDRESS="1" + HOUR, TRUSTED_PROXIES="127.0.0.0/8") as people:

        async def status_of(forwarded: str) -> int:
            return (await people.client.get("/nope", headers={"x-forwarded-for": forwarded})).status_code

        assert await status_of("192.0.2.1") == 404
        assert await status_of("192.0.2.2") == 404
        # The left address is ignored: the client can send any.
        assert await status_of("192.0.2.7, 192.0.2.1") == 429


@pytest.mark.parametrize(("proxies", "connection"), [("", "close"), ("127.0.0.0/8", None)])
async def test_the_refusal_of_an_address_ends_its_connection_but_not_that_of_a_proxy(
    people_with: PeopleWith, proxies: str, connection: str | None
) -> None:
    async with people_with(RATE_LIMIT_ADDRESS="1" + HOUR, TRUSTED_PROXIES=proxies) as people:
        first = await people.client.get("/nope", headers={"x-forwarded-for": "192.0.2.1"})
        refused = await people.client.get("/nope", headers={"x-forwarded-for": "192.0.2.1"})

    assert (first.status_code, first.headers.get("connection")) == (404, None)
    assert (refused.status_code, refused.headers.get("connection")) == (429, connection)


async def test_without_a_trusted_proxy_x_forwarded_for_does_not_avoid_the_limit(
    people_with: PeopleWith,
) -> None:
    async with people_with(RATE_LIMIT_ADDRESS="1" + HOUR) as people:
        await people.client.get("/nope", headers={"x-forwarded-for": "192.0.2.1"})

        refused: httpx.Response = await people.client.get("/nope", headers={"x-forwarded-for": "192.0.2.2"})

    assert refused.status_code == 429


async def test_requests_for_many_kinds_of_lists_compile_no_more_statements_than_the_rate_limit_allows(
    people_with: PeopleWith,
) -> None:
    queries = [
        f"?sort={sign}{key}&{condition}&q={'+'.join('abcdefgh'[:words])}"
        for key in ("created", "updated", "title", "due", "priority", "position")
        for sign in ("", "-")
        for condition in ("completed=true", "priority=low", "tag=x", "due=none")
        for words in range(1, 6)
    ]
    page_of.cache_clear()
    async with people_with(RATE_LIMIT_PERSON="10" + HOUR) as people:
        ann = people.one()

        answers = [await ann.ask("GET", query) for query in queries[:60]]

    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {200: 10, 429: 50}, answers[0].text
    assert page_of.cache_info().misses <= 10
    assert page_of.cache_info().maxsize == 1024
