"""Tombstones, the records of permanently deleted tasks, are limited. Each write gives its tasks the new revision.

When tombstones are dropped, their owner's floor rises to the newest of their revisions. Tokens below the floor get 410.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import asyncpg
import pytest

from app.domain.changes import ChangesToken
from app.domain.commands import Change
from app.domain.errors import ChangesGone
from app.domain.identity import UserId
from app.domain.task import Task, TaskChanges
from app.infra.backfill import backfill_derived_columns
from app.infra.postgres.database import Database
from app.infra.purge import purge_trash
from app.infra.statements.tombstones import DAYS_MAX, DROPPED_AT_ONCE, TOMBSTONES_MAX
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.support.factories import MANY, NOON, TaskFactory, later, someone
from tests.support.follower import Follower, catch_up, read_page
from tests.support.keyed import keyed

pytestmark = pytest.mark.server

OLD = DAYS_MAX + 1  # days: the age of a tombstone that may be dropped
# For an owner ($1): as many tombstones as $2, of the age $3.
TOMBSTONES = """
INSERT INTO ended_tasks (user_id, revision, id, ended_at)
SELECT $1, n, gen_random_uuid(), now() - $3::interval FROM generate_series(1, $2::int) AS n
"""


# Copies of a task ($1), as many as $2.
COPIES = """
INSERT INTO tasks
SELECT (jsonb_populate_record(task, jsonb_build_object('id', gen_random_uuid()))).*
FROM tasks AS task, generate_series(1, $2::int) WHERE task.id = $1
"""


@pytest.fixture
def ann() -> UserId:
    return someone()


@pytest.fixture
def mine(database: Database, ann: UserId) -> NeonTaskRepository:
    return NeonTaskRepository(database, owner=ann)


@pytest.fixture
async def superuser(postgres: PostgresServer, database_url: str) -> AsyncIterator[Any]:
    """A connection that sees the rows of all owners."""
    connection = await asyncpg.connect(postgres.url_of(DatabaseAddress.parse(database_url).database))
    yield connection
    await connection.close()


async def add(mine: NeonTaskRepository, count: int) -> list[Task]:
    tasks = [TaskFactory.build() for _ in range(count)]
    for task in tasks:
        await mine.add(task, at_most=MANY)
    return tasks


async def add_tombstones(superuser: Any, owner: UserId, count: int, *, days: int) -> None:
    """Give an owner a tombstone of each revision from 1 to `count`. None was dropped yet."""
    await superuser.execute(TOMBSTONES, owner, count, timedelta(days=days))
    await superuser.execute(
        "UPDATE task_owners SET tombstones = $2::int, revision = $2::int, floor = 0 WHERE user_id = $1",
        owner,
        count,
    )


class State(NamedTuple):
    """An owner's floor, the stored count of the owner's tombstones, and their real number."""

    floor: int
    stored_count: int
    rows: int


async def state_of(superuser: Any, owner: UserId) -> State:
    row = await superuser.fetchrow("SELECT floor, tombstones FROM task_owners WHERE user_id = $1", owner)
    there = await superuser.fetchval("SELECT count(*) FROM ended_tasks WHERE user_id = $1", owner)
    return State(row["floor"], row["tombstones"], there)


async def test_a_permanent_deletion_removes_up_to_a_hundred_more_tombstones_than_it_writes_and_raises_the_floor(
    mine: NeonTaskRepository, superuser: Any, ann: UserId
) -> None:
    first, second, third = await add(mine, 3)
    await add_tombstones(superuser, ann, DROPPED_AT_ONCE + 10, days=OLD)

    await mine.purge(first.id)
    after_one = await state_of(superuser, ann)
    await mine.purge(second.id)
    after_two = await state_of(superuser, ann)
    await mine.purge(third.id)

    dropped = DROPPED_AT_ONCE + 1
    assert after_one == State(dropped, 10, 10)  # nine old ones are left, and the new one
    assert after_two == State(DROPPED_AT_ONCE + 10, 2, 2)
    assert await state_of(superuser, ann) == State(DROPPED_AT_ONCE + 10, 3, 3)


async def test_young_tombstones_are_dropped_only_beyond_the_limit(
    mine: NeonTaskRepository, superuser: Any, ann: UserId
) -> None:
    first, second = await add(mine, 2)
    await add_tombstones(superuser, ann, TOMBSTONES_MAX - 1, days=1)

    await mine.purge(first.id)
    full = await state_of(superuser, ann)
    await mine.purge(second.id)

    assert full == State(0, TOMBSTONES_MAX, TOMBSTONES_MAX)
    left = TOMBSTONES_MAX - DROPPED_AT_ONCE
    assert await state_of(superuser, ann) == State(DROPPED_AT_ONCE + 1, left, left)


async def test_a_token_at_the_floor_is_valid_and_one_below_gets_410(
    mine: NeonTaskRepository, superuser: Any, ann: UserId
) -> None:
    (task,) = await add(mine, 1)
    await add_tombstones(superuser, ann, 5, days=OLD)
    await mine.purge(task.id)

    assert (await state_of(superuser, ann)).floor == 5
    assert len(json.loads((await mine.changes(ChangesToken.after_revision(5), limit=9)).changes)) == 1
    with pytest.raises(ChangesGone):
        await mine.changes(ChangesToken.after_revision(4), limit=9)


async def test_a_full_read_that_began_below_the_floor_gets_410_and_a_new_one_succeeds(
    mine: NeonTaskRepository, superuser: Any, ann: UserId
) -> None:
    await add(mine, 3)
    follower = Follower()
    await read_page(mine, follower, limit=1)
    (deleted,) = await add(mine, 1)
    await mine.purge(deleted.id)
    await read_page(mine, follower, limit=1)
    await superuser.execute(
        f"UPDATE ended_tasks SET ended_at = now() - interval '{OLD} days' WHERE user_id = $1", ann
    )
    (other,) = await add(mine, 1)
    await mine.purge(other.id)

    with pytest.raises(ChangesGone):
        await read_page(mine, follower, limit=1)
    follower.begin_again()
    for _ in range(2):  # the second time there is nothing new
        await catch_up(partial(read_page, mine, follower, limit=1))
    assert len(follower.copy) == 3


async def test_app_purge_leaves_a_tombstone_of_each_task(
    mine: NeonTaskRepository, superuser: Any, ann: UserId, database_url: str
) -> None:
    tasks = await add(mine, 3)
    for task in tasks[:2]:
        await mine.trash(task.id, at=NOON - timedelta(days=400))
    follower = Follower()
    await catch_up(partial(read_page, mine, follower))
    follower.received.clear()

    await purge_trash(DatabaseAddress.parse(database_url), before=NOON - timedelta(days=300))
    await catch_up(partial(read_page, mine, follower, limit=1))

    assert set(follower.received) == {str(task.id) for task in tasks[:2]}
    assert set(follower.copy) == {str(tasks[2].id)}
    state = await state_of(superuser, ann)
    assert (state.stored_count, state.rows) == (2, 2)


async def test_app_purge_keeps_the_limit_of_tombstones_and_raises_the_floor_for_the_rest(
    mine: NeonTaskRepository, superuser: Any, ann: UserId, database_url: str
) -> None:
    (task,) = await add(mine, 1)
    before = ChangesToken.after_revision(await mine.revision())
    await mine.trash(task.id, at=later(0))
    await superuser.execute(COPIES, task.id, TOMBSTONES_MAX + 100)

    await purge_trash(DatabaseAddress.parse(database_url), before=datetime.now(UTC) + timedelta(days=1))

    state = await state_of(superuser, ann)
    assert state == State(await mine.revision(), state.rows, state.rows)
    assert state.rows <= TOMBSTONES_MAX
    with pytest.raises(ChangesGone):
        await mine.changes(before, limit=1)
    await mine.changes(ChangesToken.after_revision(state.floor), limit=1)


async def test_writes_with_an_idempotency_key_and_recomputed_tag_keys_reach_a_client(
    mine: NeonTaskRepository, superuser: Any, ann: UserId, database: Database, database_url: str
) -> None:
    (task,) = await add(mine, 1)
    follower = Follower()
    await catch_up(partial(read_page, mine, follower))

    async def new_version() -> tuple[list[str], int]:
        """Let the client catch up. Return the ids that it received, and the version of `task` in its copy."""
        follower.received.clear()
        await catch_up(partial(read_page, mine, follower))
        return follower.received, follower.copy[str(task.id)]["version"]

    await keyed(database, ann).change(task.id, TaskChanges(title="x", tags=["❤", "a"]), at=later(1))
    assert await new_version() == ([str(task.id)], 2)
    await keyed(database, ann).toggle(task.id, at=later(2))
    assert await new_version() == ([str(task.id)], 3)
    await keyed(database, ann).change(task.id, TaskChanges(title="x"), at=later(3))
    assert await new_version() == ([], 3)
    created = await keyed(database, ann).add(TaskFactory.build(), at_most=MANY)
    assert (await new_version())[0] == [json.loads(created.json)["id"]]
    await superuser.execute("UPDATE tasks SET tags = $2 WHERE id = $1", task.id, ["❤", "❤\ufe0f", "a"])
    await backfill_derived_columns(DatabaseAddress.parse(database_url))
    assert await new_version() == ([str(task.id)], 4)


async def test_a_batch_with_an_idempotency_key_is_one_revision(
    mine: NeonTaskRepository, ann: UserId, database: Database
) -> None:
    (task,) = await add(mine, 1)
    follower = Follower()
    await catch_up(partial(read_page, mine, follower))
    new, before = TaskFactory.build(), await mine.revision()

    await keyed(database, ann).apply(
        [Change(task.id, TaskChanges(title="y")), new], at=datetime.now(UTC), at_most=MANY
    )
    await catch_up(partial(read_page, mine, follower, limit=1))

    assert follower.token == ChangesToken.after_revision(await mine.revision())
    assert await mine.revision() == before + 1
    assert set(follower.copy) == {str(task.id), str(new.id)}
