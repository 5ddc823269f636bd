"""A page of changes reads its rows and at most four more, in generic and custom plans, with row-level security.

Each of these faults, put into the code on purpose, made a test fail: reading the trashed tasks without their index;
replacing the row comparison `(a, b) > (x, y)` by conditions with OR.
"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.domain.changes import ChangesToken
from app.infra.postgres.connect import Connection
from app.infra.statements.changes import PAGE as STATEMENT
from app.infra.task_changes import values_of
from dev.postgres import PostgresServer
from tests.support.plans import KINDS, Plan, plan_of, rows_of_scan
from tests.support.servers.migrated import migrated_database

pytestmark = pytest.mark.server

MANY = 10_000  # tasks of Ann; each other person has a tenth
PAGE = 50  # changes
FILL = """
INSERT INTO tasks (user_id, id, title, completed, position, title_key, trashed_at, revision)
SELECT owner, gen_random_uuid(), 'x', n % 3 = 0, md5(n::text), 'x', CASE WHEN n % 10 = 0 THEN now() END, n
FROM (SELECT 'ann' AS owner, $1 AS many UNION ALL SELECT 'bob ' || n, $1 / 10 FROM generate_series(1, 60) n) AS p,
     generate_series(1, many) AS n;
INSERT INTO ended_tasks (user_id, revision, id)
SELECT user_id, n, gen_random_uuid()
FROM (SELECT DISTINCT user_id FROM tasks) AS owners, generate_series(1, 2000) AS n;
INSERT INTO task_owners (user_id, revision, tasks) SELECT user_id, $1, count(*) FROM tasks GROUP BY user_id
"""


@pytest.fixture(scope="module")
async def connection(postgres: PostgresServer) -> AsyncIterator[Connection]:
    """A connection to a database in which Ann has ten thousand tasks, and each of sixty others a thousand."""
    url = await migrated_database(postgres)
    connection = await asyncpg.connect(postgres.url_of(url.rpartition("/")[2]))
    await connection.execute(FILL.replace("$1", str(MANY)))
    for table in ("tasks", "ended_tasks", "task_owners"):
        await connection.execute(f"VACUUM ANALYZE {table}")
    await connection.close()
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def plan(connection: Any, kind: str, token: ChangesToken | None, owner: str) -> Plan:
    """Return the plan of a page of changes after this token."""
    return await plan_of(connection, kind, STATEMENT, {**values_of(token, PAGE), "owner": owner})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "token",
    [
        None,
        ChangesToken(1),
        ChangesToken(900, UUID(int=2**127)),
        ChangesToken(900, base=1500),
        ChangesToken(5000),
        ChangesToken(9990),
        ChangesToken.after_revision(MANY),
    ],
    ids=str,
)
@pytest.mark.parametrize("owner", ["ann", "bob 7"])
async def test_a_page_of_changes_reads_its_own_rows_and_at_most_four_more(
    connection: Any, owner: str, token: ChangesToken | None, kind: str
) -> None:
    found = await plan(connection, kind, token, owner)

    scans = [scan for scan in found.scans if scan["Relation Name"] != "task_owners"]
    # One row shows that there is more, and each of the other three ranges reads one.
    assert sum(map(rows_of_scan, scans)) <= PAGE + 4, str(found)
    assert {scan["Index Name"] for scan in scans} == {
        "ix_tasks_completed_revision_id",
        "ix_tasks_trashed_revision",
        "pk_ended_tasks",
    }
    assert len(found.scans) == len(scans) + 1  # the owner's row is read once
    assert not found.sorts
    assert "current_setting('app.user_id'" in str(found)
