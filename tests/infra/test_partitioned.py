"""The service works unchanged with the table of tasks in partitions by the hash of `user_id`.

Each key and index begins with `user_id`, there is no foreign key, and each statement of a request names one owner.
"""

from pathlib import Path

import asyncpg
import httpx
import pytest

from app.infra.postgres.row_security import APP, CONDITION, OWN_ROWS
from app.infra.postgres.row_security_check import find_gaps
from app.infra.statements.lists import Shape, page_of
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.factories import someone
from tests.support.plans import KINDS, plan_of
from tests.support.servers.migrated import migrated_database
from tests.support.servers.service import Service, serving

pytestmark = pytest.mark.server

MODULUS = 4
RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
PARTITIONS = "".join(
    f"CREATE TABLE tasks_{n} PARTITION OF tasks FOR VALUES WITH (MODULUS {MODULUS}, REMAINDER {n});"
    for n in range(MODULUS)
)
REBUILD = f"""
DROP VIEW own_tasks;
DROP TABLE IF EXISTS tasks_whole;
ALTER TABLE tasks RENAME TO tasks_whole;
CREATE TABLE tasks (LIKE tasks_whole INCLUDING ALL) PARTITION BY HASH (user_id);
{PARTITIONS}
INSERT INTO tasks SELECT * FROM tasks_whole;
DROP TABLE tasks_whole;
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
CREATE POLICY {OWN_ROWS} ON tasks TO {APP} USING {CONDITION} WITH CHECK {CONDITION};
GRANT {RIGHTS} ON tasks TO {APP};
CREATE VIEW own_tasks AS SELECT * FROM tasks;
GRANT {RIGHTS} ON own_tasks TO CURRENT_USER;
GRANT CREATE ON SCHEMA public TO {APP};
ALTER VIEW own_tasks OWNER TO {APP};
REVOKE CREATE ON SCHEMA public FROM {APP};
"""


async def test_on_a_partitioned_table_the_service_works_and_a_list_reads_only_the_owners_partition(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = await migrated_database(postgres)
    connection = await asyncpg.connect(url)
    ann = someone()
    try:
        await connection.execute(REBUILD)
        assert await find_gaps(connection) == []

        with serving(environment_for(url), tmp_path) as service:
            use_as_many_people(service, ann)

        places = await connection.fetch("SELECT DISTINCT tableoid::regclass::text FROM tasks")
        assert len(places) > 1
        values = {"owner": ann, "limit": 51}
        for kind in KINDS:
            plan = await plan_of(connection, kind, page_of(Shape()), values)
            read = {scan["Relation Name"] for scan in plan.scans if scan["Actual Loops"]}
            assert len(read & {f"tasks_{n}" for n in range(MODULUS)}) == 1, plan
    finally:
        await connection.close()


def use_as_many_people(service: Service, ann: str) -> None:
    """Send reads and writes of tasks as Ann and as twelve others, and check the responses."""
    for person in (ann, *(someone() for _ in range(12))):
        with httpx.Client(base_url=service.url, headers=service.headers(person)) as client:
            task = client.post("/api/me/tasks", json={"title": "x"})
            location = task.headers["location"]
            assert client.put(location, json={"title": "y"}).json()["title"] == "y"
            assert client.patch(f"{location}/complete").json()["completed"] is True
            assert client.get(location, headers=service.headers(someone())).status_code == 404
            assert [found["title"] for found in client.get("/api/me/tasks").json()] == ["y"]
            other = client.post("/api/me/tasks", json={"title": "z"}).json()["id"]
            assert client.post(f"{location}/move", json={"before": other}).status_code == 200
            assert client.delete(location).status_code == 204
