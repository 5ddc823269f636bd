"""The limits on one person's concurrent statements and large bodies, as clients see them.

Each of these faults, put into the code on purpose, made a test fail: no limit on a person's statements; two large
bodies of a person at once; an endless wait for a turn; the rows of a batch prepared inside its transaction.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.api.requests.request import SMALL_BODY_MAX
from app.composition import compose
from app.domain.commands import Operation
from app.event_loop import SMALL_REQUESTS
from app.infra import task_batch
from app.infra.postgres.owner_session import WAITING_PER_RUNNING
from app.infra.postgres.slow_share import SlowShare
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.locks import locked_owner, until_blocked
from tests.support.people import People

pytestmark = pytest.mark.server

RUNNING = 2  # statements of one person that may run at once
REFUSED = 5  # requests for which the queue has no place


async def test_given_blocked_statements_of_one_person_then_others_and_readiness_get_responses(
    database_url: str,
) -> None:
    env = environment_for(database_url, PERSON_CONCURRENCY=str(RUNNING), POOL_SIZE=str(RUNNING + 1))
    async with client_of(compose(Settings.from_env(env))) as client:
        ann, bob = People(client).one(), People(client).one()
        assert (await ann.ask("POST", json={"title": "first"})).status_code == 201
        async with locked_owner(database_url, ann.user_id):
            asking = [
                asyncio.create_task(ann.ask("POST", json={"title": "x"}))
                for _ in range(RUNNING * (1 + WAITING_PER_RUNNING) + REFUSED)
            ]
            done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            first = next(iter(done)).result()
            others = (await bob.ask("POST", json={"title": "bob's"})).status_code
            ready = (await client.get("/health/ready")).status_code
        answers = [answer.status_code for answer in await asyncio.gather(*asking)]
        after = (await ann.ask("POST", json={"title": "last"})).status_code

    assert (first.status_code, first.json()["type"]) == (429, "/problems/too-many-at-once")
    assert first.headers["retry-after"] == "1"
    assert (others, ready, after) == (201, 200, 201)
    assert answers.count(429) >= REFUSED
    assert set(answers) == {201, 429}


OPEN_TRANSACTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
)
LARGE = {"op": "create", "title": "x", "description": "x" * 9_000}
BATCH = {"operations": [LARGE] * 40}
REFUSED_BODY = {"unknown": "x" * SMALL_BODY_MAX}  # a large body, which gets 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "batch"),
        ("POST", ""),
        ("PUT", str(UUID(int=1))),
        ("PATCH", str(UUID(int=1))),
        ("PATCH", f"{UUID(int=1)}/complete"),
        ("POST", f"{UUID(int=1)}/move"),
    ],
)
async def test_while_a_large_body_is_in_progress_only_the_next_large_body_of_its_person_waits(
    database_url: str, method: str, path: str
) -> None:
    async with client_of(compose(Settings.from_env(environment_for(database_url)))) as client:
        ann, bob = People(client).one(), People(client).one()
        await ann.create()
        async with locked_owner(database_url, ann.user_id):
            first = asyncio.create_task(ann.ask("POST", "batch", json=BATCH))
            await until_blocked(database_url)
            second = asyncio.create_task(ann.ask(method, path, json=REFUSED_BODY))
            small = await ann.ask("POST", "batch", json={"operations": [{"op": "create"}]})
            others = await bob.ask(method, path, json=REFUSED_BODY)
            done, _ = await asyncio.wait([second], timeout=0.5)
        statuses = [(await each).status_code for each in (first, second)]

    assert (small.status_code, others.status_code) == (400, 400)
    assert not done  # `second` waits for its turn; without turns it would be refused within milliseconds
    assert statuses == [200, 400]


async def test_a_large_batch_that_waits_too_long_for_its_turn_is_refused_with_a_time_to_wait(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.backpressure.TURN_TIMEOUT", 0.1)
    async with client_of(compose(Settings.from_env(environment_for(database_url)))) as client:
        ann = People(client).one()
        await ann.create()
        async with locked_owner(database_url, ann.user_id):
            first = asyncio.create_task(ann.ask("POST", "batch", json=BATCH))
            await until_blocked(database_url)
            second = await ann.ask("POST", "batch", json=BATCH)
        statuses = [(await first).status_code, (await ann.ask("POST", "batch", json=BATCH)).status_code]

    assert (second.status_code, second.json()["type"]) == (429, "/problems/bodies-under-way")
    assert second.headers["retry-after"] == "1"
    assert statuses == [200, 200]


async def test_a_request_counts_as_small_while_it_is_in_progress_unless_its_body_is_large(
    database_url: str,
) -> None:
    before = SMALL_REQUESTS.count
    async with client_of(compose(Settings.from_env(environment_for(database_url)))) as client:
        ann = People(client).one()
        await ann.create()
        async with locked_owner(database_url, ann.user_id):
            large = asyncio.create_task(ann.ask("POST", "batch", json=BATCH))
            await until_blocked(database_url)
            with_large = SMALL_REQUESTS.count
            small = asyncio.create_task(ann.create())
            await until_blocked(database_url, 2)
            with_both = SMALL_REQUESTS.count
        await asyncio.gather(large, small)

    assert [with_large, with_both, SMALL_REQUESTS.count] == [before, before + 1, before]


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "one"}], ids=["without a key", "with a key"])
async def test_the_rows_of_a_batch_are_prepared_before_its_transaction(
    database_url: str, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    transactions: list[int] = []

    async def count_transactions(operations: Sequence[Operation], **values: Any) -> task_batch.Batch:
        connection = await asyncpg.connect(database_url)
        transactions.append(await connection.fetchval(OPEN_TRANSACTIONS))
        await connection.close()
        return await prepare(operations, **values)

    prepare = task_batch.prepare
    monkeypatch.setattr(task_batch, "prepare", count_transactions)
    async with client_of(compose(Settings.from_env(environment_for(database_url)))) as client:
        done = await People(client).one().ask("POST", "batch", json=BATCH, headers=headers)

    assert (done.status_code, transactions) == (200, [0])


async def test_given_too_many_searches_and_summaries_then_the_next_one_gets_503_with_that_reason(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `SlowShare` of size 0 is always full, as if other people's searches ran and waited."""
    monkeypatch.setattr(
        "app.infra.postgres.database.SlowShare", lambda size, used_time: SlowShare(0, used_time)
    )
    async with client_of(compose(Settings.from_env(environment_for(database_url)))) as client:
        ann = People(client).one()
        await ann.create(title="milk")

        refused = [
            await ann.ask("GET", "/api/me/tasks?q=milk"),
            await ann.ask("GET", "/api/me/tasks/summary"),
        ]
        others = (await ann.ask("GET")).status_code
        ready = (await client.get("/health/ready")).status_code

    for answer in refused:
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/too-busy")
        assert "other searches and summaries" in answer.json()["detail"]
        assert answer.headers["retry-after"] == "5"
    assert (others, ready) == (200, 200)
