"""A database that is changed under a running service: missing parts are reported, and so is the repair.

Each of these faults, put into the code on purpose, made a test fail: no check after an error (500);
`DatabaseNotSetUp` for an undefined table although nothing is missing; no check every minute; readiness that only knows
the last statement; rights on a recreated view for every role that had a right on any view.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from app.composition import compose
from app.domain.errors import DatabaseNotSetUp
from app.infra.auth.jwt_verifier import TokenCache, issue_token
from app.infra.gauges import sample_gauges
from app.infra.migrations.rls_setup import CannotRepair
from app.infra.migrations.run import upgrade
from app.infra.postgres.database import Database
from app.infra.statements.owner_scope import Statement
from app.infra.tasks import NeonTaskRepository
from app.live.change_marks import ChangeMarks
from app.live.hub import Hub
from app.settings import Settings
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.factories import MANY, later, someone, task_made
from tests.support.in_process import client_of
from tests.support.people import TRUST
from tests.support.servers.migrated import migrated_database
from tests.support.statements import PING
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.server

HUB = Hub(ChangeMarks(is_shared=False))

DAMAGES = {
    "DROP VIEW own_tasks": "the view own_tasks is missing; repair it with: app migrate",
    "REVOKE ALL ON own_tasks FROM taskward, taskward_app": "taskward lacks rights on own_tasks; repair it with: GRANT SELECT, INSERT, UPDATE, DELETE ON own_tasks TO taskward",
    "REVOKE ALL ON tasks FROM taskward_app": "taskward_app lacks rights on tasks; repair it with: app migrate",
    "DROP VIEW own_tasks; DROP TABLE tasks": "the table tasks is missing; repair it with: a restore of a backup",
}


@pytest.fixture
def headers() -> dict[str, str]:
    """The header with Ann's token, made for each test, because a token expires after 15 minutes."""
    return {"authorization": f"Bearer {issue_token(TRUST, user_id='ann', lifetime=900)}"}


@pytest.fixture
async def url(postgres: PostgresServer) -> str:
    """The URL of a database for one test."""
    return await migrated_database(postgres)


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    database = Database(DatabaseAddress.parse(url))
    await database.open()
    yield database
    await database.close()


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


async def change(postgres: PostgresServer, url: str, sql: str) -> None:
    """Run SQL in a thread, because the SQL may wait for a lock that a check in this event loop holds."""
    await asyncio.to_thread(postgres.query, sql, name_of(url))


def walls_up(database: Database) -> float:
    """Return the metric `taskward_walls_up`: 1, or 0 if row-level security is broken."""
    return sample_gauges(database, None, TokenCache(), None, HUB)["taskward_walls_up"]


def lines_of(event: str, logged: list[Any]) -> list[Any]:
    """Return the lines of the log with this event."""
    return [line for line in logged if line["event"] == event]


@pytest.mark.parametrize(("sql", "gap"), DAMAGES.items(), ids=DAMAGES)
async def test_given_a_damaged_schema_then_requests_get_503_readiness_fails_and_one_log_line_has_the_reason(
    postgres: PostgresServer, url: str, headers: dict[str, str], sql: str, gap: str
) -> None:
    with_key = headers | {"idempotency-key": '"one"'}
    async with client_of(compose(Settings.from_env(environment_for(url)))) as client:
        before = await client.get("/api/me/tasks", headers=headers)
        await change(postgres, url, sql)
        with capture_logs() as logged:
            answers = [
                await client.get("/api/me/tasks", headers=headers),
                await client.post("/api/me/tasks", json={"title": "x"}, headers=headers),
                await client.post("/api/me/tasks", json={"title": "x"}, headers=with_key),
            ]
            ready = await client.get("/health/ready")

    assert before.status_code == 200
    assert [answer.status_code for answer in answers] == [503] * 3
    for answer in answers:
        assert answer.json()["type"] == "/problems/database-not-set-up"
        assert answer.headers["retry-after"] == "10"
        assert not any(word in answer.text for word in ("own_tasks", "taskward_app", "GRANT", "migrate"))
    assert (ready.status_code, ready.json()["database"]) == (503, "unavailable")
    (down,) = lines_of("wall down", logged)
    assert gap in down["gaps"]
    assert lines_of("unexpected error", logged) == []


async def test_given_a_repaired_schema_then_the_service_is_ready_and_serves_without_a_restart(
    postgres: PostgresServer, url: str, headers: dict[str, str]
) -> None:
    async with client_of(compose(Settings.from_env(environment_for(url)))) as client:
        await client.get("/api/me/tasks", headers=headers)
        await change(postgres, url, "DROP VIEW own_tasks")
        refused = await client.get("/api/me/tasks", headers=headers)
        with capture_logs() as logged:
            await upgrade(DatabaseAddress.parse(url))
            ready = await client.get("/health/ready")
        served = await client.get("/api/me/tasks", headers=headers)

    assert [answer.status_code for answer in (refused, ready, served)] == [503, 200, 200]
    assert len(lines_of("wall stands again", logged)) == 1


async def test_an_undefined_table_is_an_unexpected_error_if_the_schema_is_complete(url: str) -> None:
    async with open_database(url) as database:
        with pytest.raises(asyncpg.UndefinedTableError):
            await database.fetch(Statement("SELECT FROM no_such_table", ()), {})

        assert await database.trouble() is None


# With this trigger PostgreSQL stores no row in `task_owners`, and reports no error.
SWALLOW = """
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER swallow BEFORE INSERT ON task_owners FOR EACH ROW EXECUTE FUNCTION swallow();
"""


async def test_given_a_trigger_that_drops_the_owners_row_then_a_batch_raises_an_unexpected_error(
    postgres: PostgresServer, url: str
) -> None:
    postgres.query(SWALLOW, name_of(url))
    async with open_database(url) as database:
        mine = NeonTaskRepository(database, owner=someone())
        with pytest.raises(RuntimeError, match="matched no row"):
            await mine.apply([task_made(1)], at=later(1), at_most=MANY)


async def test_given_disabled_row_level_security_then_the_next_check_reports_it_and_requests_are_still_served(
    postgres: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.infra.postgres.row_security_watch.CHECK_EVERY", 0.01)
    async with open_database(url) as database:
        with capture_logs() as logged:
            await database.fetch(PING, {})
            intact = (await database.trouble(), walls_up(database))
            await change(postgres, url, "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY")
            await wait_until_async(lambda: database._checkout.wall.due)
            await database.fetch(PING, {})
            await wait_until_async(lambda: database.walls_trouble is not None)
            served = await database.fetch(PING, {})
            trouble, shown = await database.trouble(), walls_up(database)
            await change(postgres, url, "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY")
            repaired = (await database.trouble(), walls_up(database))

    assert intact == repaired == (None, 1.0)
    assert len(served) == 1
    assert shown == 0.0
    assert trouble is not None
    assert "tasks has no row-level security" in trouble
    assert [line["event"] for line in logged] == ["wall down", "wall stands again"]


async def test_given_a_due_check_and_no_requests_then_the_database_is_not_woken(
    postgres: PostgresServer, url: str
) -> None:
    async with open_database(url) as database:
        await database.fetch(PING, {})
        database._checkout.wall._become_due()
        await change(postgres, url, "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY")
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert await database.trouble() is None


async def test_a_worker_that_starts_with_broken_row_level_security_serves_no_request(
    postgres: PostgresServer, url: str
) -> None:
    postgres.query("ALTER TABLE tasks DISABLE ROW LEVEL SECURITY", name_of(url))
    async with open_database(url) as database:
        for _ in range(2):
            with pytest.raises(DatabaseNotSetUp, match="ENABLE ROW LEVEL SECURITY"):
                await database.fetch(PING, {})


async def test_migrate_reports_a_missing_table_in_one_sentence(postgres: PostgresServer, url: str) -> None:
    postgres.query("DROP VIEW own_tasks; DROP TABLE tasks", name_of(url))

    with pytest.raises(CannotRepair, match=r"the table tasks is missing, .*: restore a backup"):
        await upgrade(DatabaseAddress.parse(url))


async def test_a_view_of_another_role_is_reported_with_the_command_that_a_superuser_runs(
    postgres: PostgresServer, url: str
) -> None:
    name = name_of(url)
    postgres.query(f"CREATE ROLE other_{name}; ALTER VIEW own_tasks OWNER TO other_{name}", name)
    async with open_database(url) as database:
        trouble = await database.trouble()
        with pytest.raises(CannotRepair) as refused:
            await upgrade(DatabaseAddress.parse(url))
        await change(postgres, url, str(refused.value).split("repair it with: ")[1])
        repaired = await database.trouble()

    assert trouble is not None
    assert str(refused.value) in trouble
    assert repaired is None


async def test_migrate_reports_a_role_membership_that_it_grants_again(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("REVOKE taskward_app FROM CURRENT_USER")
    finally:
        await connection.close()
    repaired: list[str] = []

    await upgrade(DatabaseAddress.parse(url), repaired.append)

    assert repaired == ["the membership of this login in taskward_app"]


async def test_migrate_grants_the_serving_role_its_rights_on_a_recreated_view_and_no_other_role(
    postgres: PostgresServer, url: str
) -> None:
    name = name_of(url)
    serving, reading = f"serving_{name}", f"reading_{name}"
    postgres.query(
        f"CREATE ROLE {serving}; GRANT ALL ON own_tasks, own_task_owners, own_kept_answers, own_ended_tasks"
        f" TO {serving};"
        f"CREATE ROLE {reading}; GRANT SELECT ON own_task_owners TO {reading}; DROP VIEW own_tasks",
        name,
    )
    repaired: list[str] = []

    await upgrade(DatabaseAddress.parse(url), repaired.append)

    may = "SELECT bool_and(has_table_privilege('{0}', 'own_tasks', verb)), bool_or(has_table_privilege('{0}', 'own_tasks', verb)) FROM unnest('{{SELECT,INSERT,UPDATE,DELETE}}'::text[]) verb"
    assert postgres.query(may.format(serving), name) == "t|t"
    assert postgres.query(may.format(reading), name) == "f|f"
    assert repaired == ["the view own_tasks", f"the rights of {serving} on own_tasks"]
