"""Through a transaction pooler: every read holds its owner's rows, whoever else shares the server's connections."""

import asyncio
import sys
from pathlib import Path

import pytest

from app.infra.database import Database
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from tests.factories import MANY, TaskFactory, someone
from tests.pgbouncer import pgbouncer

pytestmark = pytest.mark.server

ROOT = Path(__file__).parent.parent.parent
READS = 500  # by each of four processes
OWNERS = 8

READER = """
import asyncio, json, sys
from uuid import UUID
from app.infra.database import Database
from app.infra.tasks import NeonTaskRepository
from app.domain.identity import UserId
from app.settings.database_address import DatabaseAddress

async def main(url, reads, owners):
    database = Database(DatabaseAddress.parse(url), pool_size=4)
    await database.open()
    async def read(number):
        owner = owners[number % len(owners)]
        mine = NeonTaskRepository(database, owner=UserId(owner))
        tasks = json.loads((await mine.page(10 + number % 3, after=None)).json)
        assert [task["title"] for task in tasks] == [owner] * 3, f"{owner} read {tasks}"
        assert json.loads((await mine.show(UUID(tasks[0]["id"]))).json)["title"] == owner
    limit = asyncio.Semaphore(8)
    async def one(number):
        async with limit:
            await read(number)
    await asyncio.gather(*(one(number) for number in range(reads)))
    await database.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
"""


async def read_by_four_processes(url: str, owners: list[str]) -> list[int | None]:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", READER, url, str(READS), *owners),
            cwd=ROOT,
            stderr=asyncio.subprocess.DEVNULL,
        )
        for _ in range(4)
    ]
    await asyncio.gather(*(process.wait() for process in processes))
    return [process.returncode for process in processes]


async def planted(database: Database) -> list[str]:
    """Give each of several owners three tasks with their name for a title."""
    owners = [someone(f"owner-{number}") for number in range(OWNERS)]
    for owner in owners:
        mine = NeonTaskRepository(database, owner=owner)
        for _ in range(3):
            await mine.add(TaskFactory.build(title=owner), at_most=MANY)
    return [str(owner) for owner in owners]


async def test_two_thousand_reads_by_four_processes_over_two_connections_hold_their_owners_rows(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    owners = await planted(database)

    with pgbouncer(database_url, tmp_path) as through:
        assert await read_by_four_processes(f"{through}?pgbouncer=true", owners) == [0, 0, 0, 0]


async def test_the_same_fails_when_the_pooler_is_not_told(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Shows that the test above tests something: with the statement cache on, PgBouncer 1.18 mixes answers up."""
    owners = await planted(database)

    with pgbouncer(database_url, tmp_path) as through:
        assert await read_by_four_processes(through, owners) != [0, 0, 0, 0]


def test_neons_pooler_is_known_by_its_name_and_migrations_go_past_it() -> None:
    address = DatabaseAddress.parse(
        "postgresql://ann:x@ep-cool-1-pooler.eu-central-1.aws.neon.tech/db?sslmode=require&channel_binding=require"
    )

    assert (address.pooled, address.tls) == (True, True)
    assert (address.direct().pooled, address.direct().host) == (False, "ep-cool-1.eu-central-1.aws.neon.tech")
