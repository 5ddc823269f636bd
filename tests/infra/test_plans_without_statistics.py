"""A move and a batch read few rows even right after a person's tasks were created, without statistics of them.

Each of these faults, put into the code on purpose, made a test fail: both tasks of a move read with one `IN`; new
positions for all tasks, not only for those around the place.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from app.domain.commands import Change, Move
from app.domain.identity import UserId
from app.domain.position import REACHES
from app.domain.task import TaskChanges, TaskId
from app.infra.postgres.database import Database
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.infra.test_plans import ExplainingSession
from tests.support.factories import NOON
from tests.support.servers.migrated import migrated_database

pytestmark = pytest.mark.server

TASKS = 20_000
OTHERS = 3_000  # people with ten tasks each
NO_AUTOVACUUM = "ALTER TABLE tasks SET (autovacuum_enabled = off);"
OF_OTHERS = f"""
INSERT INTO tasks (user_id, id, title, position, title_key)
SELECT 'other-' || n % {OTHERS}, md5(n::text)::uuid, n::text, lpad(to_hex(n), 14, '0') || 'V', n::text
FROM generate_series(1, {OTHERS * 10}) n;
INSERT INTO task_owners SELECT 'other-' || n, 1, 10 FROM generate_series(0, {OTHERS - 1}) n;
ANALYZE;
"""
OF_ANN = f"""
INSERT INTO tasks (user_id, id, title, position, title_key)
SELECT 'ann', lpad(to_hex(n), 32, '0')::uuid, n::text, lpad(to_hex(n), 14, '0') || 'V', n::text
FROM generate_series(1, {TASKS}) n;
INSERT INTO task_owners SELECT 'ann', 1, {TASKS};
"""
# Gives task 14,999 the position of task 15,000, so no third one fits between them.
NO_ROOM = f"UPDATE tasks SET position = lpad(to_hex(15000), 14, '0') || 'V' WHERE id = '{UUID(int=14_999)}';"
TRASH = f"""
INSERT INTO tasks (user_id, id, title, position, title_key, trashed_at)
SELECT 'ann', md5(n::text)::uuid, n::text, lpad(to_hex(15000), 14, '0') || 'V', n::text, now()
FROM generate_series(1, {TASKS}) n;
"""
SEEDS = {"no statistics": NO_AUTOVACUUM + OF_ANN, "statistics of others": NO_AUTOVACUUM + OF_OTHERS + OF_ANN}
FAR_MOVE = Move(task_id=TaskId(UUID(int=100)), beside=TaskId(UUID(int=15_000)), before=True, if_match=None)


@asynccontextmanager
async def explaining_session(postgres: PostgresServer, seed: str) -> AsyncIterator[ExplainingSession]:
    """Yield a session that explains its statements, on a new database."""
    url = await migrated_database(postgres)
    address = DatabaseAddress.parse(url)
    postgres.query(seed, address.database)
    database, connection = Database(address), await asyncpg.connect(url)
    await database.open()
    yield ExplainingSession(database, connection, [])
    await connection.close()
    await database.close()


@pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS)
async def test_each_statement_of_a_move_among_20000_tasks_without_statistics_reads_at_most_three_rows(
    postgres: PostgresServer, seed: str
) -> None:
    async with explaining_session(postgres, seed) as explaining:
        await NeonTaskRepository(explaining, owner=UserId("ann")).move(FAR_MOVE, at=NOON)

    assert explaining.plans
    # The moved task, and the two tasks between which it is moved.
    assert max(plan.rows_read for plan in explaining.plans) <= 3


@pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS)
async def test_given_no_room_and_a_large_trash_then_a_move_writes_only_the_tasks_around_the_place(
    postgres: PostgresServer, seed: str
) -> None:
    async with explaining_session(postgres, seed + NO_ROOM + TRASH) as explaining:
        await NeonTaskRepository(explaining, owner=UserId("ann")).move(FAR_MOVE, at=NOON)
        name = await explaining.connection.fetchval("SELECT current_database()")
        written = postgres.query("SELECT count(*) FROM tasks WHERE version > 1", name)

    reach, _ = REACHES[0]
    assert max(plan.rows_read for plan in explaining.plans) <= 2 * reach + 2
    assert int(written) == 2 * reach + 2


@pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS)
async def test_a_batch_among_20000_tasks_without_statistics_reads_each_of_its_tasks_twice(
    postgres: PostgresServer, seed: str
) -> None:
    changes = [Change(TaskId(UUID(int=number)), TaskChanges(title="x")) for number in (100, 200, 300)]
    async with explaining_session(postgres, seed) as explaining:
        await NeonTaskRepository(explaining, owner=UserId("ann")).apply(changes, at=NOON, at_most=TASKS)

    assert explaining.plans
    assert max(plan.rows_read for plan in explaining.plans) == 6  # once to compute each, once to write it
