"""What a move reads where a person's tasks were made a moment ago, and PostgreSQL knows nothing of them yet.

How it was seen to fail: both tasks looked for by one `IN`.
"""

from uuid import UUID

import asyncpg
import pytest

from app.domain.identity import UserId
from app.domain.own_order import Move
from app.domain.task import TaskId
from app.infra.database import Database
from app.infra.migrate import upgrade
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.infra.test_plans import Explaining
from tests.support.factories import NOON

pytestmark = pytest.mark.server

TASKS = 20_000
SEED = f"""
ALTER TABLE tasks SET (autovacuum_enabled = off);
INSERT INTO tasks (user_id, id, title, position, title_key)
SELECT 'ann', lpad(to_hex(n), 32, '0')::uuid, n::text, lpad(to_hex(n), 14, '0') || 'V', n::text
FROM generate_series(1, {TASKS}) n;
INSERT INTO task_owners SELECT 'ann', 1, {TASKS}
"""


async def test_a_move_among_20000_tasks_without_statistics_reads_a_few_rows(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    address = DatabaseAddress.parse(url)
    await upgrade(address)
    postgres.query(SEED, address.database)
    database, own = Database(address), await asyncpg.connect(url)
    await database.open()
    explaining = Explaining(database, own, [])
    move = Move(task_id=TaskId(UUID(int=100)), beside=TaskId(UUID(int=15_000)), before=True, if_match=None)

    await NeonTaskRepository(explaining, owner=UserId("ann")).move(move, at=NOON)
    await own.close()
    await database.close()

    assert explaining.plans
    assert max(plan.rows_read for plan in explaining.plans) <= 2
