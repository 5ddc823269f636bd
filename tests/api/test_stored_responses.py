"""Responses stored for an `Idempotency-Key` are limited, and lose the contents of a task that is deleted permanently."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from tests.support.factories import someone
from tests.support.in_process import client_of
from tests.support.people import People, Person
from tests.support.servers.pgbouncer import pgbouncer

pytestmark = pytest.mark.server

DAY: Final = 24 * 60 * 60  # seconds
TOO_MANY_KEYS: Final = "type", "/problems/too-many-keys"


def key_header(key: str | None = None) -> dict[str, str]:
    return {"idempotency-key": key or str(uuid4())}


@asynccontextmanager
async def a_person(database_url: str, **settings: str) -> AsyncIterator[Person]:
    app = compose(Settings.from_env(environment_for(database_url, **settings)))
    async with client_of(app) as client:
        yield People(client).one()


async def fifty_at_once(ann: Person, at_most: int) -> None:
    """Create fifty tasks at once, each with its own key, and check that exactly `at_most` are created."""
    keys = [key_header() for _ in range(50)]

    answers = await asyncio.gather(
        *(ann.ask("POST", json={"title": key["idempotency-key"]}, headers=key) for key in keys)
    )

    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers].count(201) == at_most
    assert len(refused) == 50 - at_most
    for answer in refused:
        assert TOO_MANY_KEYS in answer.json().items()
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
        await fifty_at_once(ann, 17)


@pytest.mark.quiet
async def test_through_a_transaction_pooler_fifty_keys_at_once_reach_the_limit_exactly_too(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_session, "PATIENCE", 30.0)  # long, since the machine may be busy
    with pgbouncer(database_url, tmp_path) as through:
        async with a_person(f"{through}?pgbouncer=true", MAX_KEYS="17", REQUEST_TIMEOUT="30") as ann:
            await fifty_at_once(ann, 17)


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
    assert all(TOO_MANY_KEYS in answer.json().items() for answer in refused)
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


Sent = tuple[str, str, Any]  # method, path and body


@pytest.mark.parametrize("where", ["list", "trash"])
async def test_after_a_permanent_deletion_no_row_has_a_word_of_the_task_and_its_keys_stay_used(
    people: People, database_url: str, where: str
) -> None:
    ann, secret = people.one(), f"secret-{uuid4()}"
    create: Sent = ("POST", "", {"title": "x", "description": secret})
    task_id = (await ann.ask(create[0], create[1], json=create[2], headers=key_header("k"))).json()["id"]
    other_id = (await ann.create("other"))["id"]
    complete: Sent = ("PATCH", f"{task_id}/complete", {"completed": True})
    batch: Sent = (
        "POST",
        "batch",
        {"operations": [{"op": "complete", "id": each} for each in (other_id, task_id)]},
    )
    again: Sent = ("POST", "batch", {"operations": [{"op": "create", "title": secret}]})
    other: Sent = ("PATCH", f"{other_id}/complete", {"completed": True})
    answers = [
        await ann.ask(
            method, path, json=body, headers=key_header("k" if path != "batch" or body is batch[2] else "l")
        )
        for method, path, body in (complete, batch, again, other)
    ]
    made_again = answers[2].json()["results"][0]["task"]["id"]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert await rows_with(database_url, secret) == {"kept_answers": 4, "tasks": 2}

    for each in (task_id, made_again):
        if where == "trash":
            await ann.ask("DELETE", each)
        assert (await ann.ask("DELETE", f"{each}?permanent=true")).status_code == 204

    assert await rows_with(database_url, secret) == {}
    for (method, path, body), key in zip((create, complete, batch, again), "kkkl", strict=True):
        answer = await ann.ask(method, path, json=body, headers=key_header(key))
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/answer-gone")
        assert secret not in answer.text
    assert (await ann.ask("POST", json={"title": "y"}, headers=key_header("k"))).status_code == 422
    assert (await ann.ask(*other[:2], json=other[2], headers=key_header("k"))).content == answers[3].content
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
    blocker = await asyncpg.connect(database_url)
    try:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT FROM task_owners WHERE user_id = $1 FOR UPDATE", ann.user_id)
        waiting = {}
        for name in sorted(requests, key=lambda name: name != first):
            waiting[name] = asyncio.create_task(requests[name]())
            await asyncio.sleep(0.3)
        waited = not any(task.done() for task in waiting.values())
        await transaction.commit()
        answers = [await waiting[name] for name in requests]
    finally:
        await blocker.close()

    assert waited
    assert [answer.status_code for answer in answers] == statuses
    assert await rows_with(database_url, secret) == {}


async def test_a_permanent_delete_keeps_the_stored_responses_of_other_people(people: People) -> None:
    ann, bob, key = people.one(), people.one(str(someone("bob"))), key_header("k")
    task = (await ann.ask("POST", json={"title": "x"}, headers=key)).json()
    his = await bob.ask("POST", json={"title": "x"}, headers=key)

    refused = await bob.ask("DELETE", f"{task['id']}?permanent=true")
    await ann.ask("DELETE", f"{task['id']}?permanent=true")

    assert refused.status_code == 404
    assert (await bob.ask("POST", json={"title": "x"}, headers=key)).content == his.content
