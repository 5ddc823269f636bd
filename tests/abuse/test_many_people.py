"""Many people, each within their own limits, use all connections. Another person still gets responses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from app.composition import compose
from app.infra import task_lists
from app.infra.postgres.database import POOL_SIZE
from app.infra.postgres.pool import WAITING_PER_CONNECTION
from app.infra.statements.summary import SUMMARY
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import People
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.server

AT_ONCE = 4  # PERSON_CONCURRENCY
MANY = WAITING_PER_CONNECTION // AT_ONCE + 1  # people, whose requests are more than the wait queue holds


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests may wait 60 s for a connection, so a busy machine refuses none of them."""
    monkeypatch.setattr("app.infra.postgres.wait_queue.PATIENCE", 60)


@pytest.fixture
async def people(database_url: str, patient: None) -> AsyncIterator[People]:
    """People of a service with one connection to its database."""
    env = environment_for(database_url, POOL_SIZE="1", PERSON_CONCURRENCY=str(AT_ONCE), REQUEST_TIMEOUT="60")
    async with client_of(compose(Settings.from_env(env))) as client:
        yield People(client)


async def test_given_a_queue_full_of_many_people_then_anothers_first_request_is_answered(
    people: People, database_url: str
) -> None:
    busy, honest, crowd = people.one(), people.one(), [people.one() for _ in range(MANY)]
    await busy.create()
    holder = await asyncpg.connect(database_url)
    async with holder.transaction():
        await holder.execute("SELECT FROM task_owners WHERE user_id = $1 FOR UPDATE", busy.user_id)
        holding = asyncio.create_task(busy.create())  # with the only connection
        asking = [asyncio.create_task(one.ask("GET")) for one in crowd for _ in range(AT_ONCE)]
        refused = MANY * AT_ONCE - WAITING_PER_CONNECTION
        await wait_until_async(lambda: sum(each.done() for each in asking) >= refused)
        first = asyncio.create_task(honest.ask("GET"))
        await wait_until_async(lambda: sum(each.done() for each in asking) > refused or first.done())
        ready = (await people.client.get("/health/ready")).status_code
    await holder.close()
    await holding
    answers = [(await each).status_code for each in asking]
    answers_by_person = [answers[begin : begin + AT_ONCE] for begin in range(0, len(answers), AT_ONCE)]

    assert ((await first).status_code, ready) == (200, 200)
    assert sorted(answers) == [200] * (WAITING_PER_CONNECTION - 1) + [503] * (refused + 1)
    assert all(each.count(200) >= AT_ONCE - 1 for each in answers_by_person), answers_by_person


# The statement of a summary, which also waits for the advisory lock 14. Nothing else uses this lock.
HELD_SUMMARY = replace(
    SUMMARY, sql=f"SELECT s.* FROM ({SUMMARY.sql}) s, pg_advisory_xact_lock_shared(14)", budget=60
)
WAITING_SUMMARIES = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 14 AND NOT granted"


async def test_given_as_many_slow_summaries_as_connections_then_half_of_the_connections_stay_free(
    database_url: str, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_lists, "SUMMARY", HELD_SUMMARY)
    async with client_of(
        compose(Settings.from_env(environment_for(database_url, REQUEST_TIMEOUT="60")))
    ) as client:
        people = People(client)
        honest, hogs = people.one(), [people.one() for _ in range(POOL_SIZE)]
        await honest.create()
        holder = await asyncpg.connect(database_url)
        await holder.execute("SELECT pg_advisory_lock(14)")
        asking = [asyncio.create_task(hog.ask("GET", "summary")) for hog in hogs]
        async with asyncio.timeout(20):
            while await holder.fetchval(WAITING_SUMMARIES) < POOL_SIZE // 2:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
        others = [asyncio.create_task(honest.ask("POST", json={"title": "x"})) for _ in range(3)]
        async with asyncio.timeout(20):
            statuses = [(await each).status_code for each in others]
        waiting_summaries = await holder.fetchval(WAITING_SUMMARIES)
        await holder.close()
        answers = [(await each).status_code for each in asking]

    assert (statuses, waiting_summaries) == ([201] * 3, POOL_SIZE // 2)
    assert answers == [200] * POOL_SIZE


async def test_with_a_single_connection_a_summary_is_answered(people: People) -> None:
    assert (await people.one().ask("GET", "summary")).status_code == 200
