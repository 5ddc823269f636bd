"""Responses stored for an `Idempotency-Key` are limited, and lose the contents of a task that is deleted permanently."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from app.composition import compose
from app.infra.postgres import owner_session
from app.infra.postgres.row_security import TABLES
from app.settings import Settings
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.locks import locked_owner, until_blocked
from tests.support.people import People, Person
from tests.support.servers.pgbouncer import pgbouncer

pytestmark = pytest.mark.server

DAY: Final = 24 * 60 * 60  # seconds
TOO_MANY_KEYS: Final = "/problems/too-many-keys"


def key_header(key: str | None = None) -> dict[str, str]:
    """Return the header `Idempotency-Key` with this key, or with a new one."""
    return {"idempotency-key": key or str(uuid4())}


@asynccontextmanager
async def a_person(database_url: str, **settings: str) -> AsyncIterator[Person]:
    """Start a service with these settings, and yield a person who uses it."""
    app = compose(Settings.from_env(environment_for(database_url, **settings)))
    async with client_of(app) as client:
        yield People(client).one()


async def check_fifty_at_once(ann: Person, *, at_most: int) -> None:
    """Create fifty tasks at once, each with its own key, and check that exactly `at_most` are created."""
    keys = [key_header() for _ in range(50)]

    answers = await asyncio.gather(
        *(ann.ask("POST", json={"title": key["idempotency-key"]}, headers=key) for key in keys)
    )

    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers].count(201) == at_most
    assert len(refused) == 50 - at_most
    for answer in refused:
        assert answer.json()["type"] == TOO_MANY_KEYS
        assert DAY - 60 < int(answer.headers["retry-after"]) <= DAY
    assert len(await ann.titles()) == at_most
    for key, answer in zip(keys, answers, strict=True):
        again = await ann.ask("POST", json={"title": key["idempotency-key"]}, headers=key)
        assert (again.status_code, "idempotency-replayed" in again.headers) == (
            answer.status_code,
            answer.status_code == 201,
        )


@pytest.mark.quiet
async def test_fifty_keys_at_once_reach_the_limit_exactly(
    database_url: str,
) -> None:
    async with a_person(database_url, MAX_KEYS="17") as ann:
        await check_fifty_at_once(ann, at_most=17)


@pytest.mark.quiet
async def test_through_a_transaction_pooler_fifty_keys_at_once_reach_the_limit_exactly_too(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_session, "PATIENCE", 30.0)  # long, since the machine may be busy
    with pgbouncer(database_url, tmp_path) as pooler_url:
        async with a_person(f"{pooler_url}?pgbouncer=true", MAX_KEYS="17", REQUEST_TIMEOUT="30") as ann:
            await check_fifty_at_once(ann, at_most=17)


async def test_large_stored_responses_at_once_reach_the_limit_exactly(
    database_url: str,
) -> None:
    large = {"operations": [{"op": "create", "title": "x", "description": "y" * 9_900}] * 100}
    async with a_person(database_url, MAX_KEPT_MB="8") as ann:
        answers = []
        for _ in range(3):  # more at once would exceed the limit of large bodies
            answers += await asyncio.gather(
                *(ann.ask("POST", "batch", json=large, headers=key_header()) for _ in range(4))
            )

        done = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        small = await ann.ask("POST", json={"title": "x"}, headers=key_header())

    assert len(done) == 8 * 1024 * 1024 // len(done[0].content)
    assert len(done) + len(refused) == 12
    assert {answer.json()["type"] for answer in refused} == {TOO_MANY_KEYS}
    assert small.status_code == 201


async def test_given_the_limit_of_keys_is_reached_then_requests_without_a_key_succeed(
    database_url: str,
) -> None:
    async with a_person(database_url, MAX_KEYS="1") as ann:
        await ann.ask("POST", json={"title": "x"}, headers=key_header())
        refused = await ann.ask("POST", json={"title": "x"}, headers=key_header())
        done = await ann.ask("POST", json={"title": "x"})

    assert (refused.status_code, done.status_code) == (429, 201)


async def rows_with(database_url: str, text: str) -> dict[str, int]:
    """Return for each table the number of rows that contain a text, as text or as bytes."""
    connection = await asyncpg.connect(database_url)
    names = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
    try:
        found = {}
        for name in [row[0] for row in await connection.fetch(names)]:
            found[name] = await connection.fetchval(
                f'SELECT count(*) FROM "{name}" AS r WHERE strpos(r::text, $1) > 0'
                " OR strpos(r::text, encode(convert_to($1, 'UTF8'), 'hex')) > 0",
                text,
            )
    finally:
        await connection.close()
    assert found.keys() >= set(TABLES)
    return {name: count for name, count in found.items() if count}


@dataclass(frozen=True)
class KeyedRequest:
    """A request with an Idempotency-Key."""

    key: str
    method: str
    path: str
    body: Any

    async def send(self, person: Person) -> Any:
        return await person.ask(self.method, self.path, json=self.body, headers=key_header(self.key))


@pytest.mark.parametrize("where", ["list", "trash"])
async def test_after_a_permanent_deletion_no_row_has_a_word_of_the_task_and_its_keys_stay_used(
    people: People, database_url: str, where: str
) -> None:
    ann, secret = people.one(), f"secret-{uuid4()}"
    create = KeyedRequest("a", "POST", "", {"title": "x", "description": secret})
    task_id = (await create.send(ann)).json()["id"]
    other_id = (await ann.create("other"))["id"]
    complete = KeyedRequest("a", "PATCH", f"{task_id}/complete", {"completed": True})
    complete_other = KeyedRequest("a", "PATCH", f"{other_id}/complete", {"completed": True})
    complete_both = KeyedRequest(
        "a", "POST", "batch", {"operations": [{"op": "complete", "id": each} for each in (other_id, task_id)]}
    )
    create_in_batch = KeyedRequest("b", "POST", "batch", {"operations": [{"op": "create", "title": secret}]})
    answers = [
        await request.send(ann) for request in (complete, complete_both, create_in_batch, complete_other)
    ]
    id_in_batch = answers[2].json()["results"][0]["task"]["id"]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert await rows_with(database_url, secret) == {"kept_answers": 4, "tasks": 2}

    for each in (task_id, id_in_batch):
        if where == "trash":
            await ann.ask("DELETE", each)
        assert (await ann.ask("DELETE", f"{each}?permanent=true")).status_code == 204

    assert await rows_with(database_url, secret) == {}
    for request in (create, complete, complete_both, create_in_batch):
        answer = await request.send(ann)
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/answer-gone")
        assert secret not in answer.text
    assert (await ann.ask("POST", json={"title": "y"}, headers=key_header("a"))).status_code == 422
    assert (await complete_other.send(ann)).content == answers[3].content
    assert await ann.titles() == ["other"]


async def test_a_permanent_deletion_also_deletes_responses_stored_by_the_previous_version(
    people: People, database_url: str, postgres: PostgresServer
) -> None:
    ann, secret = people.one(), f"secret-{uuid4()}"
    task = (await ann.ask("POST", json={"title": secret}, headers=key_header("k"))).json()
    await ann.ask("POST", json={"title": "other"}, headers=key_header("l"))
    name = database_url.rpartition("/")[2]
    postgres.query(f"UPDATE kept_answers SET task_ids = NULL WHERE user_id = '{ann.user_id}'", name)

    await ann.ask("DELETE", f"{task['id']}?permanent=true")

    gone = await ann.ask("POST", json={"title": secret}, headers=key_header("k"))
    kept = await ann.ask("POST", json={"title": "other"}, headers=key_header("l"))
    assert await rows_with(database_url, secret) == {}
    assert (gone.status_code, kept.status_code) == (410, 201)
    assert kept.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(("first", "statuses"), [("write", [200, 204]), ("delete", [404, 204])])
async def test_a_write_without_change_racing_a_permanent_delete_leaves_no_stored_response(
    people: People, database_url: str, first: str, statuses: list[int]
) -> None:
    ann, secret = people.one(), f"secret-{uuid4()}"
    task_id = (await ann.ask("POST", json={"title": secret, "completed": True})).json()["id"]
    requests = {
        "write": lambda: ann.ask(
            "PATCH", f"{task_id}/complete", json={"completed": True}, headers=key_header()
        ),
        "delete": lambda: ann.ask("DELETE", f"{task_id}?permanent=true"),
    }
    second = "delete" if first == "write" else "write"
    async with locked_owner(database_url, ann.user_id):
        waiting = {first: asyncio.create_task(requests[first]())}
        await until_blocked(database_url, 1)
        waiting[second] = asyncio.create_task(requests[second]())
        await until_blocked(database_url, 2)
    answers = [await waiting[name] for name in requests]

    assert [answer.status_code for answer in answers] == statuses
    assert await rows_with(database_url, secret) == {}


async def test_a_permanent_delete_keeps_the_stored_responses_of_other_people(people: People) -> None:
    ann, bob, key = people.one(), people.one("bob"), key_header("k")
    task = (await ann.ask("POST", json={"title": "x"}, headers=key)).json()
    of_bob = await bob.ask("POST", json={"title": "x"}, headers=key)

    refused = await bob.ask("DELETE", f"{task['id']}?permanent=true")
    await ann.ask("DELETE", f"{task['id']}?permanent=true")

    assert refused.status_code == 404
    assert (await bob.ask("POST", json={"title": "x"}, headers=key)).content == of_bob.content
