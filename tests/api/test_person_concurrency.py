"""The limit on one person's concurrent statements, as clients see it.

How it was seen to fail: no limit on a person's statements.
"""

import asyncio

import asyncpg
import pytest

from app.composition import compose
from app.infra.postgres.owner_session import QUEUE
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import People

pytestmark = pytest.mark.server

RUNNING = 2  # PERSON_CONCURRENCY
REFUSED = 5


async def test_given_a_person_whose_statements_are_held_up_others_and_readiness_are_answered(
    database_url: str,
) -> None:
    env = environment_for(database_url, PERSON_CONCURRENCY=str(RUNNING), POOL_SIZE=str(RUNNING + 1))
    async with client_of(compose(Settings.from_env(env))) as client:
        ann, bob = People(client).one(), People(client).one()
        assert (await ann.ask("POST", json={"title": "first"})).status_code == 201
        holder = await asyncpg.connect(database_url)
        async with holder.transaction():
            await holder.execute("SELECT FROM task_owners WHERE user_id = $1 FOR UPDATE", ann.user_id)
            asking = [
                asyncio.create_task(ann.ask("POST", json={"title": "x"}))
                for _ in range(RUNNING * (1 + QUEUE) + REFUSED)
            ]
            done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            first = next(iter(done)).result()
            others = (await bob.ask("POST", json={"title": "bob's"})).status_code
            ready = (await client.get("/health/ready")).status_code
        answers = [answer.status_code for answer in await asyncio.gather(*asking)]
        await holder.close()
        after = (await ann.ask("POST", json={"title": "last"})).status_code

    assert (first.status_code, first.json()["type"]) == (429, "/problems/too-many-at-once")
    assert first.headers["retry-after"] == "1"
    assert (others, ready, after) == (201, 200, 201)
    assert answers.count(429) >= REFUSED
    assert set(answers) == {201, 429}
