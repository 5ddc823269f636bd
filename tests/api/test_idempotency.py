"""`Idempotency-Key`: a request takes effect once, and a repeated request gets the stored response."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.composition import compose
from app.infra.postgres import owner_session
from app.settings import Settings
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.factories import NOON, a_task_id
from tests.support.in_process import client_of
from tests.support.locks import locked_owner, until_blocked
from tests.support.people import People, Person
from tests.support.servers.pgbouncer import pgbouncer

pytestmark = pytest.mark.server

TITLE = {"title": "water the plants"}


def key_header(key: str | None = None) -> dict[str, str]:
    """Return the header `Idempotency-Key` with this key, or with a new one."""
    return {"idempotency-key": f'"{uuid4()}"' if key is None else key}


def comparable(response: httpx.Response) -> tuple[Any, ...]:
    """Return a response without the headers that differ if it is sent again."""
    differing = ("x-request-id", "ratelimit", "idempotency-replayed")
    headers = {name: value for name, value in response.headers.items() if name not in differing}
    return response.status_code, headers, response.content


async def test_a_repeated_request_gets_the_first_response_and_idempotency_replayed(people: People) -> None:
    ann, key = people.one(), key_header()

    first = await ann.ask("POST", json=TITLE, headers=key)
    again = await ann.ask("POST", json=TITLE, headers=key)

    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    assert again.headers["idempotency-replayed"] == "true"
    assert comparable(again) == comparable(first)
    assert await ann.titles() == [TITLE["title"]]


async def test_a_repeated_request_gets_the_first_response_even_if_the_task_has_changed(
    people: People,
) -> None:
    ann, key = people.one(), key_header()
    first = await ann.ask("POST", json=TITLE, headers=key)
    await ann.ask("PUT", first.json()["id"], json={"title": "changed"})
    await ann.ask("DELETE", first.json()["id"])

    again = await ann.ask("POST", json=TITLE, headers=key)

    assert comparable(again) == comparable(first)
    assert await ann.titles() == []


async def test_a_toggle_with_a_key_is_done_once(people: People) -> None:
    ann, key = people.one(), key_header()
    path = f"{(await ann.create())['id']}/complete"

    first = await ann.ask("PATCH", path, headers=key)
    await ann.ask("PATCH", path)
    again = await ann.ask("PATCH", path, headers=key)

    assert first.json()["completed"] is True
    assert comparable(again) == comparable(first)
    assert (await ann.ask("GET")).json()[0]["completed"] is False


async def test_the_same_key_can_be_used_for_another_task(people: People) -> None:
    ann, key = people.one(), key_header()

    for title in ("a", "b"):
        task = await ann.create(title)
        answer = await ann.ask("PATCH", f"{task['id']}/complete", headers=key)
        assert (answer.json()["id"], answer.json()["completed"]) == (task["id"], True)


async def test_two_people_may_choose_the_same_key(people: People) -> None:
    key = key_header()
    answers = [await person.ask("POST", json=TITLE, headers=key) for person in (people.one(), people.one())]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["user_id"] != answers[1].json()["user_id"]


async def test_me_and_the_user_id_share_the_same_keys(people: People) -> None:
    ann, key = people.one(), key_header()

    first = await ann.ask("POST", json=TITLE, headers=key)
    again = await ann.ask("POST", "/api/me/tasks", json=TITLE, headers=key)

    assert comparable(again) == comparable(first)


@pytest.mark.parametrize("body", [b"", b" ", b"null", b" null "])
async def test_a_toggle_with_an_empty_body_and_a_key_runs_once(people: People, body: bytes) -> None:
    ann, key = people.one(), {**key_header(), "content-type": "application/json"}
    path = f"{(await ann.create())['id']}/complete"

    first = await ann.ask("PATCH", path, content=body, headers=key)
    again = await ann.ask("PATCH", path, content=body, headers=key)

    assert first.json()["completed"] is True
    assert comparable(again) == comparable(first)


@pytest.mark.parametrize(
    "body", [b'{"completed":false,"title":"x"}', b' {\n"title": "\\u0078", "completed": false }']
)
async def test_a_body_with_another_order_of_members_or_other_spaces_is_the_same_request(
    people: People, body: bytes
) -> None:
    ann, key = people.one(), key_header() | {"content-type": "application/json"}
    first = await ann.ask("POST", content=b'{"title":"x","completed":false}', headers=key)

    again = await ann.ask("POST", content=body, headers=key)

    assert comparable(again) == comparable(first)


async def test_the_same_key_with_another_body_is_refused_and_nothing_done(people: People) -> None:
    ann, key = people.one(), key_header()
    await ann.ask("POST", json=TITLE, headers=key)

    other = await ann.ask("POST", json={"title": "other"}, headers=key)

    assert other.status_code == 422
    assert other.json()["type"] == "/problems/key-reused"
    assert await ann.titles() == [TITLE["title"]]


async def test_a_toggle_and_a_complete_with_one_key_are_different_requests(people: People) -> None:
    ann, key = people.one(), key_header()
    path = f"{(await ann.create())['id']}/complete"
    await ann.ask("PATCH", path, headers=key)

    other = await ann.ask("PATCH", path, json={"completed": True}, headers=key)

    assert other.status_code == 422


async def test_an_error_response_is_not_stored_under_the_key(people: People) -> None:
    ann, key = people.one(), key_header()
    missing = await ann.ask("PATCH", f"{a_task_id()}/complete", headers=key)
    wrong = await ann.ask("POST", json={"title": " "}, headers=key)

    right = await ann.ask("POST", json=TITLE, headers=key)

    assert (missing.status_code, wrong.status_code, right.status_code) == (404, 400, 201)


async def test_a_request_refused_in_the_transaction_does_not_use_up_its_key(
    database_url: str,
) -> None:
    settings = Settings.from_env(environment_for(database_url, MAX_TASKS="1"))
    async with client_of(compose(settings)) as client:
        ann, key = People(client).one(), key_header()
        first = await ann.create()

        full = await ann.ask("POST", json=TITLE, headers=key)
        await ann.ask("DELETE", f"{first['id']}?permanent=true")
        again = await ann.ask("POST", json=TITLE, headers=key)

    assert (full.status_code, full.json()["type"]) == (409, "/problems/too-many-tasks")
    assert again.status_code == 201


@pytest.mark.parametrize(
    "key",
    [
        *('""', '"', '"a', 'a"', '"a"b"', '"a\\b"', '"a", "b"', "a, b", "a b", "a;b", '"a";b=1', "'a b'"),
        *("é".encode(), '"é"'.encode(), b'"\x00"', b'"\x7f"', b"a\tb", "x" * 256, f'"{"x" * 256}"'),
    ],
)
async def test_a_malformed_key_is_reported_together_with_the_other_errors(
    people: People, key: str | bytes
) -> None:
    ann = people.one()

    answer = await ann.ask("POST", json={"title": ""}, headers={"idempotency-key": key})

    assert answer.status_code == 400
    places = {(error["pointer"], error.get("in", "body")) for error in answer.json()["errors"]}
    assert places == {("/Idempotency-Key", "header"), ("/title", "body")}


async def test_two_idempotency_keys_are_refused(people: People) -> None:
    ann = people.one()
    headers = [*ann.headers.items(), ("idempotency-key", "a"), ("idempotency-key", "a")]

    answer = await people.client.post("/api/me/tasks", json=TITLE, headers=headers)

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("one", "other"),
    [("abc-1", '"abc-1"'), ("a~!#$%&'()*+./:<=>?@[]^_`{|}", '"a~!#$%&\'()*+./:<=>?@[]^_`{|}"')],
)
async def test_a_bare_key_and_the_same_key_in_quotes_are_equal(people: People, one: str, other: str) -> None:
    ann = people.one()

    first = await ann.ask("POST", json=TITLE, headers=key_header(one))
    again = await ann.ask("POST", json=TITLE, headers=key_header(other))

    assert comparable(again) == comparable(first)


async def test_a_quoted_key_may_contain_escaped_characters_and_may_be_255_characters_long(
    people: People,
) -> None:
    ann = people.one()
    for key in ('"a \\" b"', '"a \\\\ b"', f'"{"x" * 255}"'):
        first = await ann.ask("POST", json=TITLE, headers=key_header(key))
        assert first.status_code == 201
        assert comparable(await ann.ask("POST", json=TITLE, headers=key_header(key))) == comparable(first)


async def check_fifty_at_once(ann: Person) -> None:
    """Send one request fifty times at once. Check that one task is created, and that each client gets it or 409."""
    key = key_header()

    answers = await asyncio.gather(*(ann.ask("POST", json=TITLE, headers=key) for _ in range(50)))

    created = [answer for answer in answers if answer.status_code == 201]
    in_flight = [answer for answer in answers if answer.status_code == 409]
    assert len(created) + len(in_flight) == 50
    assert {answer.content for answer in created} == {created[0].content}
    for refused in in_flight:
        assert refused.json()["type"] == "/problems/key-in-flight"
        assert refused.headers["retry-after"] == "1"
        assert comparable(await ann.ask("POST", json=TITLE, headers=key)) == comparable(created[0])
    assert len(await ann.titles()) == 1


async def test_fifty_identical_requests_at_once_create_one_task_and_get_its_response_or_must_retry(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_session, "PATIENCE", 30.0)  # long, since the machine may be busy

    await check_fifty_at_once(people.one())


@pytest.mark.quiet
async def test_through_a_transaction_pooler_fifty_identical_requests_create_one_task_too(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_session, "PATIENCE", 30.0)  # long, since the machine may be busy
    with pgbouncer(database_url, tmp_path) as pooler_url:
        env = environment_for(f"{pooler_url}?pgbouncer=true", REQUEST_TIMEOUT="30")
        app = compose(Settings.from_env(env))
        async with client_of(app) as client:
            everybody = [People(client).one(f"ann{number}") for number in range(4)]
            await asyncio.gather(*map(check_fifty_at_once, everybody))


async def test_while_the_first_request_runs_the_second_waits_and_gets_the_same_response(
    people: People, database_url: str, postgres: PostgresServer
) -> None:
    ann, key = people.one(), key_header()
    path = f"{(await ann.create())['id']}/complete"

    async with locked_owner(database_url, ann.user_id):
        both = [asyncio.create_task(ann.ask("PATCH", path, headers=key)) for _ in range(2)]
        await until_blocked(database_url, 2)
    answers = [await each for each in both]

    assert comparable(answers[0]) == comparable(answers[1])
    assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False, True]
    assert (await ann.ask("GET")).json()[0]["completed"] is True
    log = postgres.log.read_text(errors="replace")
    assert ann.user_id not in log  # PostgreSQL would quote it in an error about a duplicate key


async def test_a_repeated_request_that_waited_too_long_is_refused_and_the_first_one_continues(
    people: People, database_url: str
) -> None:
    ann, key = people.one(), key_header()
    await ann.create()

    async with locked_owner(database_url, ann.user_id):
        first = asyncio.create_task(ann.ask("POST", json=TITLE, headers=key))
        await until_blocked(database_url)
        second = await ann.ask("POST", json=TITLE, headers=key)
        other_person = await people.one().ask("POST", json=TITLE, headers=key)
        was_waiting = not first.done()

    assert (second.status_code, second.headers["retry-after"]) == (409, "1")
    assert second.json()["type"] == "/problems/key-in-flight"
    assert other_person.status_code == 201
    assert was_waiting
    assert (await first).status_code == 201
    assert len(await ann.titles()) == 2


class Clock:
    """A clock that moves only when a test sets it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> Any:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the service, at noon."""
    return Clock()


@pytest.fixture
async def ann(database_url: str, clock: Clock) -> AsyncIterator[Person]:
    """A person of a service whose clock the test sets."""
    app = compose(Settings.from_env(environment_for(database_url)), clock=clock)
    async with client_of(app) as client:
        yield People(client).one()


async def test_a_response_is_stored_for_a_day(ann: Person, clock: Clock) -> None:
    key = key_header()
    first = await ann.ask("POST", json=TITLE, headers=key)

    clock.now = NOON + timedelta(hours=24) - timedelta(microseconds=1)
    same = await ann.ask("POST", json=TITLE, headers=key)
    clock.now = NOON + timedelta(hours=24)
    new = await ann.ask("POST", json=TITLE, headers=key)
    newer = await ann.ask("POST", json=TITLE, headers=key)

    assert comparable(same) == comparable(first)
    assert new.json()["id"] != first.json()["id"]
    assert comparable(newer) == comparable(new)


async def test_a_new_stored_response_deletes_old_ones_of_the_same_owner_only(
    ann: Person, clock: Clock, postgres: PostgresServer, database_url: str
) -> None:
    bob = People(ann.client).one("bob")
    for person in (ann, ann, bob):
        await person.ask("POST", json=TITLE, headers=key_header())
    clock.now = NOON + timedelta(hours=1)
    await ann.ask("POST", json=TITLE, headers=key_header())
    clock.now = NOON + timedelta(hours=24)

    await ann.ask("POST", json=TITLE, headers=key_header())

    stored = f"""SELECT json_object_agg(user_id, n) FROM (SELECT user_id, count(*) n FROM kept_answers
              WHERE user_id IN ('{ann.user_id}', '{bob.user_id}') GROUP BY 1) x"""
    assert json.loads(postgres.query(stored, database_url.rpartition("/")[2])) == {
        ann.user_id: 2,
        bob.user_id: 1,
    }
