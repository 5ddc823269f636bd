# ruff: noqa: ASYNC210 - nothing else runs meanwhile
"""A dump restores into a cluster without our roles, and `app migrate` repairs rights, policies and views."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.infra.migrations.rls_setup import ForeignView
from app.infra.migrations.run import downgrade, upgrade
from app.infra.postgres.row_security_check import find_gaps
from app.infra.purge import CannotPurge, expect_purge_possible, purge_trash
from app.settings.database_address import DatabaseAddress
from dev.binaries import _of_the_package, _of_the_system, major
from dev.drill import TASKS, drill
from dev.postgres import PostgresServer, temporary
from tests.conftest import environment_for
from tests.support.servers.migrated import migrated_database
from tests.support.servers.service import app, serving

pytestmark = pytest.mark.server

VERSIONS = {
    major(folder): folder for folder in (*_of_the_package(), *_of_the_system()) if major(folder) >= 15
}
"""The folder of each installed version of PostgreSQL from 15 on."""
OLD, NEW = min(VERSIONS), max(VERSIONS)


@pytest.fixture(scope="module")
def cluster_named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, int], PostgresServer]]:
    """A function that returns the cluster of a name, which is made at its first use."""
    made: dict[str, PostgresServer] = {}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        def cluster(name: str, version: int) -> PostgresServer:
            if name not in made:
                patch.setenv("PG_BINDIR", str(VERSIONS[version]))
                made[name] = stack.enter_context(temporary(tmp_path_factory.mktemp(name) / "cluster"))
                patch.delenv("PG_BINDIR")
            return made[name]

        yield cluster


@pytest.fixture(
    params=sorted({(OLD, OLD), (OLD, NEW), (NEW, NEW)}), ids=lambda pair: f"{pair[0]} to {pair[1]}"
)
def clusters(
    request: pytest.FixtureRequest,
    postgres: PostgresServer,
    cluster_named: Callable[[str, int], PostgresServer],
) -> tuple[PostgresServer, PostgresServer]:
    """The source and the target of a restore, of these versions. The target has none of our roles."""
    old, new = request.param
    source = postgres if major(postgres.bin) == old else cluster_named(f"from-{old}", old)
    return source, cluster_named(f"of-{old}-to-{new}", new)


async def test_a_dump_restored_by_the_commands_of_the_operations_page_is_served_and_a_person_sees_their_own_tasks_only(
    clusters: tuple[PostgresServer, PostgresServer], tmp_path: Path
) -> None:
    folder = tmp_path / "drill"
    folder.mkdir()

    url = await asyncio.to_thread(drill, *clusters, folder)

    with serving(environment_for(url), tmp_path) as service:
        ann = httpx.get(f"{service.url}/api/me/tasks", headers=service.headers("ann")).json()
        ready = httpx.get(f"{service.url}/health/ready")
    assert sorted(task["title"] for task in ann) == [f"ann {number}" for number in range(TASKS["ann"])]
    assert ready.status_code == 200


async def test_a_database_with_missing_rights_is_not_served_until_migrate_repairs_it(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = await migrated_database(postgres)
    name = url.rpartition("/")[2]
    postgres.query("REVOKE ALL ON tasks, task_owners, kept_answers FROM taskward_app", name)

    refused = await asyncio.to_thread(app, "serve", env=environment_for(url), cwd=tmp_path)
    repaired = await asyncio.to_thread(app, "migrate", env={"DATABASE_URL": url}, cwd=tmp_path)

    assert refused.returncode != 0
    assert "taskward_app lacks rights on tasks; repair it with: app migrate" in refused.stderr
    assert "repaired the rights of taskward_app on tasks" in repaired.stdout
    with serving(environment_for(url), tmp_path) as service:
        assert httpx.get(f"{service.url}/api/me/tasks", headers=service.headers("ann")).status_code == 200


async def test_a_purge_without_the_maintenance_policy_is_refused_until_migrate_repairs_it(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = await migrated_database(postgres)
    postgres.query("DROP POLICY maintenance_sees_trash ON tasks", url.rpartition("/")[2])
    env = {"DATABASE_URL": url}

    refused = await asyncio.to_thread(app, "purge", "--older-than", "1h", env=env, cwd=tmp_path)
    repaired = await asyncio.to_thread(app, "migrate", env=env, cwd=tmp_path)
    purged = await asyncio.to_thread(app, "purge", "--older-than", "1h", env=env, cwd=tmp_path)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "run `app migrate`" in refused.stderr
    assert "repaired" in repaired.stdout
    assert purged.stdout == "0 tasks deleted\n"


@pytest.fixture(scope="module")
async def repaired_database(postgres: PostgresServer) -> str:
    """A migrated database. A test that breaks it repairs it."""
    url = postgres.new_database()
    await upgrade(DatabaseAddress.parse(url))
    return url


@pytest.mark.parametrize(
    "missing",
    [
        "ALTER POLICY maintenance_sees_trash ON tasks USING (false)",
        "ALTER POLICY maintenance_sees_trash ON tasks USING (true)",
        "REVOKE ALL ON tasks FROM taskward_maintenance",
        "REVOKE SELECT ON task_owners FROM taskward_maintenance",
        "REVOKE SELECT ON kept_answers FROM taskward_maintenance",
        "REVOKE USAGE ON SCHEMA public FROM public, taskward_maintenance",
    ],
)
async def test_a_purge_without_a_policy_or_right_is_refused_until_migrate_repairs_it(
    postgres: PostgresServer, repaired_database: str, missing: str
) -> None:
    address = DatabaseAddress.parse(repaired_database)
    await expect_purge_possible(address)
    postgres.query(missing, address.database)
    repaired: list[str] = []

    with pytest.raises(CannotPurge, match="run `app migrate`"):
        await expect_purge_possible(address)
    await upgrade(address, repaired.append)

    assert repaired
    await expect_purge_possible(address)
    assert await purge_trash(address, before=datetime.now(UTC)) == 0


@pytest.mark.parametrize("hardening", ["public", "schema"])
async def test_serve_migrate_and_purge_work_with_hardened_schemas(
    postgres: PostgresServer, tmp_path: Path, hardening: str
) -> None:
    url = postgres.new_database()
    name = url.rpartition("/")[2]
    postgres.query("REVOKE ALL ON SCHEMA public FROM public; GRANT ALL ON SCHEMA public TO taskward", name)
    if hardening == "schema":
        postgres.query(
            f"CREATE SCHEMA ours AUTHORIZATION taskward; ALTER DATABASE {name} SET search_path = ours", name
        )
    address = DatabaseAddress.parse(url)

    await upgrade(address)

    await expect_purge_possible(address)
    assert await purge_trash(address, before=datetime.now(UTC)) == 0
    with serving(environment_for(url), tmp_path) as service:
        assert httpx.get(f"{service.url}/api/me/tasks", headers=service.headers("ann")).status_code == 200


async def test_a_purge_and_migrate_report_a_foreign_policy_that_hides_rows(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = await migrated_database(postgres)
    postgres.query("CREATE POLICY hiding ON tasks AS RESTRICTIVE USING (false)", url.rpartition("/")[2])
    env = {"DATABASE_URL": url}

    purged = await asyncio.to_thread(app, "purge", "--older-than", "1h", env=env, cwd=tmp_path)
    migrated = await asyncio.to_thread(app, "migrate", env=env, cwd=tmp_path)

    assert (purged.returncode, purged.stdout) == (1, "")
    assert "other policies hide rows from it" in purged.stderr
    assert migrated.returncode == 1
    assert 'repair it with: DROP POLICY "hiding" ON tasks' in migrated.stderr


async def test_a_serving_role_that_lacks_a_right_is_reported_with_the_grant_that_adds_it(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = await migrated_database(postgres)
    name = url.rpartition("/")[2]
    role = f"serving_{name}"
    postgres.query(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON taskward_version TO {role};"
        f"GRANT USAGE ON SCHEMA public TO {role}; GRANT ALL ON own_task_owners, own_kept_answers, own_ended_tasks TO {role}",
        name,
    )
    serving_url = re.sub(r"//[^@]*@", f"//{role}:x@", url)

    refused = await asyncio.to_thread(app, "serve", env=environment_for(serving_url), cwd=tmp_path)
    grant = re.findall(r"repair it with: (GRANT .*)", refused.stderr)[0]
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(grant)
    finally:
        await connection.close()

    assert f"{role} lacks rights on own_tasks" in refused.stderr
    with serving(environment_for(serving_url), tmp_path) as service:
        assert httpx.get(f"{service.url}/api/me/tasks", headers=service.headers("ann")).status_code == 200


async def test_pending_migrations_do_not_change_a_view_of_another_program(
    postgres: PostgresServer,
) -> None:
    url = postgres.new_database()
    name = url.rpartition("/")[2]
    await upgrade(DatabaseAddress.parse(url))
    await downgrade(DatabaseAddress.parse(url), to="0001")
    postgres.query("DROP VIEW own_tasks; CREATE VIEW own_tasks AS SELECT 'theirs' AS whose", name)

    with pytest.raises(ForeignView, match="own_tasks shows something else than tasks"):
        await upgrade(DatabaseAddress.parse(url))

    assert postgres.query("SELECT whose FROM own_tasks", name) == "theirs"


@pytest.mark.parametrize("view_made", ["before the migrations", "after the migrations"])
async def test_a_view_of_another_program_with_the_same_name_is_refused_and_not_changed(
    postgres: PostgresServer, tmp_path: Path, view_made: str
) -> None:
    url = postgres.new_database()
    name = url.rpartition("/")[2]
    if view_made == "after the migrations":
        await upgrade(DatabaseAddress.parse(url))
        postgres.query("DROP VIEW own_tasks", name)
    postgres.query("CREATE VIEW own_tasks AS SELECT 'theirs' AS whose", name)

    refused = await asyncio.to_thread(app, "migrate", env={"DATABASE_URL": url}, cwd=tmp_path)

    assert refused.returncode == 1
    assert "own_tasks" in refused.stderr
    assert postgres.query("SELECT whose FROM own_tasks", name) == "theirs"


async def test_migrate_repairs_a_database_that_was_changed_by_hand(postgres: PostgresServer) -> None:
    url = await migrated_database(postgres)
    postgres.query(
        "DROP VIEW own_tasks, own_kept_answers; DROP POLICY own_rows ON task_owners;"
        "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY",
        url.rpartition("/")[2],
    )

    await upgrade(DatabaseAddress.parse(url))

    connection = await asyncpg.connect(url)
    try:
        assert await find_gaps(connection) == []
    finally:
        await connection.close()
