"""Through a transaction pooler: every read returns only its owner's rows, although others share the server's connections."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
from asyncpg import DuplicatePreparedStatementError
from structlog.testing import capture_logs

from app.domain.errors import DatabaseUnavailable
from app.infra.postgres.connector import Connector
from app.infra.postgres.database import Database
from app.infra.statements.owner_scope import Statement
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.factories import MANY, TaskFactory, someone
from tests.support.servers.pgbouncer import (
    FORGETS_STATEMENTS,
    KEEPS_STATEMENTS,
    NO_SETTINGS,
    installed,
    newer,
    pgbouncer,
)
from tests.support.servers.service import app, serving
from tests.support.statements import PING

pytestmark = pytest.mark.server

ROOT = Path(__file__).parent.parent.parent
READS = 500  # by each of four processes
OWNERS = 8

READER = """
import asyncio, json, os, sys
from uuid import UUID
from app.infra.postgres import connector, database, pool
from app.infra.postgres.database import Database
from app.infra.tasks import NeonTaskRepository
from app.domain.identity import UserId
from app.settings.database_address import DatabaseAddress

async def main(url, reads, owners):
    connections = Database(DatabaseAddress.parse(url), timeout=60, pool_size=8)  # no read waits for a connection
    await connections.open()
    async def read(number):
        owner = owners[number % len(owners)]
        mine = NeonTaskRepository(connections, owner=UserId(owner))
        tasks = json.loads((await mine.page(10 + number % 3, after=None)).json)
        assert [task["title"] for task in tasks] == [owner] * 3, f"{owner} read {tasks}"
        assert json.loads((await mine.show(UUID(tasks[0]["id"]))).json)["title"] == owner
    limit = asyncio.Semaphore(8)
    async def one(number):
        async with limit:
            await read(number)
    await asyncio.gather(*(one(number) for number in range(reads)))
    await connections.close()

async def say_yes(connection):
    return True

if sys.argv[3] == "prepare statements":  # as for a pooler that keeps them
    connector.tracks_prepared_statements = say_yes
if sys.argv[3] == "detect no pooler":  # no error is taken as the sign of a pooler
    database.means_pooler = pool.means_pooler = lambda error: False
processes = []
for _ in range(4):  # forks, because the imports take longer than the reads
    processes.append(os.fork())
    if processes[-1] == 0:
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[4:]))
        sys.exit()
print(*(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes))
"""


async def read_by_four_processes(
    url: str, owners: list[str], how: str = "", *, reads: int = READS
) -> list[int]:
    """Run READER, and return the exit statuses of its processes; `how`: see the end of READER."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", READER, url, str(reads), how, *owners),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    statuses, _ = await process.communicate()
    return [int(status) for status in statuses.splitlines()[-1].split()]  # the lines before are the log


async def add_tasks(database: Database) -> list[str]:
    """Add three tasks for each of several owners. The title is the owner's id. Return the owners."""
    owners = [someone(f"owner-{number}") for number in range(OWNERS)]
    for owner in owners:
        mine = NeonTaskRepository(database, owner=owner)
        for _ in range(3):
            await mine.add(TaskFactory.build(title=owner), at_most=MANY)
    return [str(owner) for owner in owners]


async def test_two_thousand_reads_of_four_processes_over_two_connections_return_only_their_owners_rows(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    owners = await add_tasks(database)

    with pgbouncer(database_url, tmp_path) as pooler_url:
        assert await read_by_four_processes(f"{pooler_url}?pgbouncer=true", owners) == [0, 0, 0, 0]


async def test_reads_return_only_their_owners_rows_if_the_url_does_not_name_the_pooler(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    owners = await add_tasks(database)

    with pgbouncer(database_url, tmp_path) as pooler_url:
        assert await read_by_four_processes(pooler_url, owners) == [0, 0, 0, 0]


async def test_with_pgbouncer_false_and_without_its_detection_reads_through_a_pooler_fail(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """This shows that the tests above can fail: with a statement cache, PgBouncer 1.18 mixes up the rows."""
    owners = await add_tasks(database)

    with pgbouncer(database_url, tmp_path) as pooler_url:
        statuses = await read_by_four_processes(f"{pooler_url}?pgbouncer=false", owners, "detect no pooler")

    assert statuses != [0, 0, 0, 0]


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    database = Database(DatabaseAddress.parse(url), timeout=10)
    await database.open()
    yield database
    await database.close()


async def ask_through(url: str, sql: str) -> str:
    """Run a statement as another client of the pooler does, and return its one value."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        return str(await connection.fetchval(sql))
    finally:
        await connection.close()


@pytest.mark.parametrize("parameter", ["", "?pgbouncer=true"])
async def test_session_settings_do_not_reach_other_clients_of_a_pooler(
    database_url: str, tmp_path: Path, parameter: str
) -> None:
    with pgbouncer(database_url, tmp_path, server_connections=1) as pooler_url:
        async with open_database(pooler_url + parameter) as ours:
            await ours.fetch(PING, {})

            for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
                assert await ask_through(pooler_url, f"SHOW {setting}") == "0"


@pytest.mark.parametrize("parameter", ["", "?pgbouncer=true"])
async def test_the_driver_changes_no_session_setting_when_it_reads_a_new_type(
    database_url: str, tmp_path: Path, parameter: str
) -> None:
    queries: list[str] = []
    with pgbouncer(database_url, tmp_path) as pooler_url:
        connection = await Connector(DatabaseAddress.parse(pooler_url + parameter)).connect()
        with connection.query_logger(lambda record: queries.append(record.query)):
            assert await connection.fetchval("SELECT ARRAY[$1::uuid]", UUID(int=1)) == [UUID(int=1)]
        await connection.close()

    assert any("typeinfo_tree" in query for query in queries)  # the driver looked the type up
    assert not [query for query in queries if "set_config" in query]


SESSION_SETTINGS = ("plan_cache_mode", "statement_timeout", "idle_in_transaction_session_timeout")
REFUSES = NO_SETTINGS  # PgBouncer's default: it refuses a connection that sends SESSION_SETTINGS in its start-up message
DROPS = {"ignore_startup_parameters": ",".join(SESSION_SETTINGS)}
refuses_or_drops = pytest.mark.parametrize("settings", [REFUSES, DROPS], ids=["refuses", "drops"])


@refuses_or_drops
async def test_a_pooler_that_the_url_does_not_name_is_logged_once(
    database_url: str, tmp_path: Path, settings: dict[str, str]
) -> None:
    with pgbouncer(database_url, tmp_path, settings=settings) as pooler_url, capture_logs() as logged:
        async with open_database(pooler_url) as ours:
            await asyncio.gather(*(ours.fetch(PING, {}) for _ in range(10)))

    assert [(line["event"], line["log_level"]) for line in logged] == [
        ("transaction pooler found", "warning")
    ]
    assert "pgbouncer=true" in logged[0]["advice"]


@refuses_or_drops
async def test_each_connection_to_a_session_pooler_has_the_session_settings(
    database_url: str, tmp_path: Path, settings: dict[str, str]
) -> None:
    settings = {**settings, "pool_mode": "session"}
    with pgbouncer(database_url, tmp_path, settings=settings) as pooler_url:
        connector = Connector(DatabaseAddress.parse(f"{pooler_url}?pgbouncer=false"), statement_timeout=2.7)
        opened = [await connector.connect() for _ in range(2)]
        values = [
            [await connection.fetchval(f"SHOW {name}") for name in SESSION_SETTINGS] for connection in opened
        ]
        for connection in opened:
            await connection.close()

    assert values == [["force_generic_plan", "2700ms", "2700ms"]] * 2


async def test_each_direct_connection_has_the_session_settings(database_url: str) -> None:
    connector = Connector(DatabaseAddress.parse(database_url), statement_timeout=2.7)

    for _ in range(2):
        connection = await connector.connect()
        values = [await connection.fetchval(f"SHOW {name}") for name in SESSION_SETTINGS]
        await connection.close()
        assert values == ["force_generic_plan", "2700ms", "2700ms"]


async def test_postgresql_itself_is_not_taken_for_a_pooler(database_url: str) -> None:
    with capture_logs() as logged:
        async with open_database(database_url) as ours:
            (row,) = await ours.fetch(
                Statement("SELECT current_setting('statement_timeout') AS timeout", ()), {}
            )

    assert (row["timeout"], logged) == ("9s", [])


WRITE = Statement("UPDATE tasks SET title = title WHERE false", ())


@pytest.mark.parametrize("statement", [PING, WRITE], ids=["a read", "a write"])
async def test_with_pgbouncer_false_a_statement_is_sent_again_unprepared_after_the_first_error_of_a_pooler(
    database_url: str, tmp_path: Path, statement: Statement
) -> None:
    with pgbouncer(database_url, tmp_path, server_connections=1) as pooler_url, capture_logs() as logged:
        async with open_database(f"{pooler_url}?pgbouncer=false") as ours:
            await ours.fetch(statement, {})
            await ask_through(pooler_url, "DEALLOCATE ALL")  # as if another server connection had been chosen

            await ours.fetch(statement, {})
            await ask_through(pooler_url, "DEALLOCATE ALL")
            await ours.fetch(statement, {})

    assert [(line["event"], line["sign"]) for line in logged] == [
        ("transaction pooler found", "InvalidSQLStatementNameError")
    ]


async def test_with_pgbouncer_false_the_first_error_of_a_pooler_in_a_transaction_is_503_and_the_next_succeeds(
    database_url: str, tmp_path: Path
) -> None:
    with pgbouncer(database_url, tmp_path, server_connections=1) as pooler_url:
        async with open_database(f"{pooler_url}?pgbouncer=false") as ours:
            await ours.fetch(PING, {})
            await ask_through(pooler_url, "DEALLOCATE ALL")
            with pytest.raises(DatabaseUnavailable) as raised:
                async with ours.transaction() as transaction:
                    await transaction.fetch(PING, {})

            async with ours.transaction() as transaction:
                assert await transaction.fetch(PING, {})

    assert type(raised.value) is DatabaseUnavailable  # and not OutcomeUnknown


async def test_connections_in_use_when_a_pooler_is_detected_are_closed_after_their_request(
    database_url: str,
) -> None:
    async with open_database(database_url) as ours:
        async with ours.transaction() as other:
            await other.fetch(PING, {})
            ours._checkout.release(
                await ours._checkout.acquire(ours.deadline()),
                DuplicatePreparedStatementError("already exists"),
            )
            assert (await other.fetch(PING, {}))[0]

        assert (ours.counts().idle, ours.counts().in_use) == (0, 0)


async def test_a_connection_that_is_being_opened_when_a_pooler_is_detected_is_opened_again(
    database_url: str,
) -> None:
    async with open_database(database_url) as ours:
        in_use = await ours._checkout.acquire(ours.deadline())
        opening = asyncio.create_task(ours._checkout.acquire(ours.deadline()))
        while not ours.counts().opening:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        ours._checkout.release(in_use, DuplicatePreparedStatementError("already exists"))
        opened = await opening

        assert await opened.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
        ours._checkout.release(opened)


@pytest.mark.parametrize("parameter", ["", "?pgbouncer=true"])
def test_app_migrate_can_be_repeated_and_app_purge_runs_through_a_pooler_without_a_direct_url(
    postgres: PostgresServer, tmp_path: Path, parameter: str
) -> None:
    with pgbouncer(postgres.new_database(), tmp_path, server_connections=1) as pooler_url:
        env = {"DATABASE_URL": pooler_url + parameter}
        done = [app("migrate", env=env, cwd=tmp_path) for _ in range(3)]
        purged = app("purge", "--older-than", "1d", env=env, cwd=tmp_path)

    assert [run.returncode for run in done] == [0, 0, 0]
    assert all(run.stderr.startswith("app migrate: the database is ") for run in done)
    assert all(run.stderr.count("\n") == 1 for run in done)  # no warning, no error
    assert (purged.returncode, purged.stdout) == (0, "0 tasks deleted\n")


def test_the_start_warns_that_a_pooler_was_detected_and_serves(database_url: str, tmp_path: Path) -> None:
    (folder := tmp_path / "service").mkdir()
    with (
        pgbouncer(database_url, tmp_path) as pooler_url,
        serving(environment_for(pooler_url), folder) as service,
    ):
        headers = service.headers(someone())
        statuses = [
            httpx.post(f"{service.url}/api/me/tasks", json={"title": "x"}, headers=headers).status_code
            for _ in range(5)
        ]

    log = service.log.read_text()
    assert statuses == [201] * 5
    assert log.count("warning: the database is reached through a transaction pooler: add pgbouncer=true") == 1
    assert log.count('"event": "transaction pooler found"') == 1


@pytest.mark.parametrize(
    ("host", "parameter", "pooled"),
    [
        ("db.example.com", "", None),
        ("db.example.com", "?pgbouncer=true", True),
        ("db.example.com", "?pgbouncer=false", False),
        ("ep-x-pooler.aws.neon.tech", "", True),
        # Neon's proxy replaces the cancel key, as a pooler does, but it is no pooler: it keeps the session.
        ("ep-x.aws.neon.tech", "", False),
    ],
)
def test_a_database_url_names_a_pooler_denies_one_or_leaves_it_open(
    host: str,
    parameter: str,
    pooled: bool | None,  # noqa: FBT001 - a column of the table
) -> None:
    assert DatabaseAddress.parse(f"postgresql://ann:x@{host}/db{parameter}").pooled is pooled


def test_the_pgbouncer_flag_is_kept_for_migrations_if_the_host_is_the_same() -> None:
    address = DatabaseAddress.parse("postgresql://ann:x@pooler.example.com/db?pgbouncer=true")

    assert address.direct() == address


def test_neons_pooler_is_recognised_by_its_name_and_migrations_bypass_it() -> None:
    address = DatabaseAddress.parse(
        "postgresql://ann:x@ep-cool-1-pooler.eu-central-1.aws.neon.tech/db?sslmode=require&channel_binding=require"
    )

    assert (address.pooled, address.tls) == (True, True)
    assert (address.direct().pooled, address.direct().host) == (False, "ep-cool-1.eu-central-1.aws.neon.tech")


async def test_given_a_pooler_that_keeps_statements_then_they_are_prepared_once(
    database_url: str, tmp_path: Path
) -> None:
    with pgbouncer(
        database_url, tmp_path, server_connections=1, program=newer(), settings=KEEPS_STATEMENTS
    ) as pooler_url:
        async with open_database(f"{pooler_url}?pgbouncer=true") as ours:
            mine = NeonTaskRepository(ours, owner=someone())
            for _ in range(20):
                await mine.page(50, after=None)

            assert ours.prepares
        executions = await ask_through(
            pooler_url,
            "SELECT max(generic_plans + custom_plans) FROM pg_prepared_statements WHERE statement LIKE '%own_tasks%'",
        )
    assert int(executions) == 20


@pytest.mark.parametrize("settings", [NO_SETTINGS, FORGETS_STATEMENTS], ids=["installed", "newer"])
async def test_given_a_pooler_that_does_not_keep_statements_then_none_is_prepared(
    database_url: str, tmp_path: Path, settings: dict[str, str]
) -> None:
    program = newer() if settings else installed()
    with pgbouncer(
        database_url, tmp_path, server_connections=1, program=program, settings=settings
    ) as pooler_url:
        async with open_database(f"{pooler_url}?pgbouncer=true") as ours:
            for _ in range(3):
                await ours.fetch(PING, {})

            assert not ours.prepares
        left = await ask_through(
            pooler_url, "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'taskward%'"
        )
    assert left == "0"


async def test_four_processes_over_two_connections_with_kept_statements_return_only_their_owners_rows_during_ddl(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    owners = await add_tasks(database)
    change = "ALTER TABLE tasks ADD COLUMN new integer; ALTER TABLE tasks DROP COLUMN new"

    with pgbouncer(database_url, tmp_path, program=newer(), settings=KEEPS_STATEMENTS) as pooler_url:
        reading = asyncio.create_task(
            read_by_four_processes(f"{pooler_url}?pgbouncer=true", owners, reads=200)
        )
        changing = await asyncpg.connect(database_url)
        changes = 0
        while not reading.done():
            await asyncio.sleep(0.2)
            await changing.execute(change)
            changes += 1

        await changing.close()
        assert await reading == [0, 0, 0, 0]
    assert changes > 2


async def test_given_named_statements_on_an_old_pooler_then_every_request_returns_the_right_rows(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    owners = await add_tasks(database)

    with pgbouncer(database_url, tmp_path) as pooler_url:
        address = f"{pooler_url}?pgbouncer=true"
        assert await read_by_four_processes(address, owners, "prepare statements", reads=200) == [0] * 4


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (r":[^:@/]+@", ":nope@", "DATABASE_URL has a user or password that 127.0.0.1 refuses"),
        (r"/[^/]+$", "/nowhere", "DATABASE_URL names the database nowhere, which 127.0.0.1 does not have"),
    ],
    ids=["password", "database"],
)
def test_a_wrong_password_or_database_name_behind_a_pooler_stops_the_start(
    database_url: str, tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    with pgbouncer(database_url, tmp_path) as pooler_url:
        address = re.sub(right, wrong, pooler_url) + "?pgbouncer=true"
        done = app("serve", env=environment_for(address), cwd=tmp_path)

    assert done.returncode == 1
    assert message in done.stderr
