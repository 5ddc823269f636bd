"""`app migrate` recomputes the keys of tags and the search words that the previous version wrote.

The previous version can write meanwhile, and an interrupted run continues where it stopped.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from app.domain.summary import Day, TagCount
from app.domain.tags import tag_key
from app.domain.task import Task, TaskChanges
from app.domain.task_list import Search, Selection
from app.infra import backfill
from app.infra.backfill import backfill_derived_columns
from app.infra.migrations import versions
from app.infra.migrations.run import downgrade, upgrade
from app.infra.postgres.connect import driver_arguments
from app.infra.postgres.database import Database
from app.infra.statements.backfill import SLICE
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.support.expected_json import read
from tests.support.factories import TaskFactory, later, someone

pytestmark = pytest.mark.server

# The numbers of the migrations after 0005.
AFTER_0005 = sorted(
    number
    for script in Path(versions.__file__).parent.glob("[0-9]*.py")
    if (number := script.stem[:4]) > "0005"
)
HEART, RED_HEART = "\u2764", "\u2764\ufe0f"
UNEQUAL = "a =\u0338 b"  # decomposed
INSERT_OWNER = """
INSERT INTO task_owners (user_id, revision, tasks) VALUES ($1, 1, 1)
ON CONFLICT (user_id) DO UPDATE SET revision = task_owners.revision + 1, tasks = task_owners.tasks + 1
"""
INSERT_TASK = """
INSERT INTO tasks (user_id, id, title, position, tags, title_words, tag_keys)
SELECT $1, $2, $3, 'a', $4::text[], $5, coalesce(array_agg(lower(t.tag) ORDER BY t.n), '{}')
FROM unnest($4::text[]) WITH ORDINALITY t (tag, n)
"""


@dataclass
class PreviousVersion:
    """A database of the previous version. After `migrate` the current version serves it."""

    address: DatabaseAddress
    database: Database
    superuser: Any  # a connection that sees the rows of all owners

    def tasks_of(self, owner: Any) -> NeonTaskRepository:
        return NeonTaskRepository(self.database, owner=owner)

    async def insert(self, owner: Any, title: str, tags: list[str], words: str) -> Task:
        """Insert a task as the previous version did."""
        task = TaskFactory.build(title=title)
        await self.superuser.execute(INSERT_OWNER, owner)
        await self.superuser.execute(INSERT_TASK, owner, task.id, title, tags, words)
        return task

    async def migrate(self) -> list[str]:
        """Apply the migrations after 0005, and open the database. Return what the migrations repaired."""
        repaired: list[str] = []
        applied = await upgrade(self.address, repaired.append)
        assert [name.split(":")[0] for name in applied] == AFTER_0005
        await self.database.open()
        return repaired

    async def keys_of(self, owner: Any) -> list[str]:
        """Return the keys of all tags of an owner."""
        keys = "SELECT coalesce(array_agg(DISTINCT key), '{}') FROM tasks, unnest(tag_keys) AS key WHERE user_id = $1"
        found: list[str] = await self.superuser.fetchval(keys, owner)
        return found

    async def revision_of(self, owner: Any) -> int:
        """Return the revision of an owner."""
        revision: int = await self.superuser.fetchval(
            "SELECT revision FROM task_owners WHERE user_id = $1", owner
        )
        return revision

    async def write(self, owner: Any) -> None:
        """Write as the previous version does. Fail if the owner's row is locked for 5 seconds."""
        connection = await asyncpg.connect(**driver_arguments(self.address))
        await connection.execute(f"SET lock_timeout = '5s'; SET app.user_id = '{owner}'")
        await connection.execute("UPDATE own_task_owners SET revision = revision + 1")
        await connection.close()


@pytest.fixture
async def previous(postgres: PostgresServer) -> AsyncIterator[PreviousVersion]:
    """An empty database with the schema of migration 0005."""
    url = postgres.new_database()
    address = DatabaseAddress.parse(url)
    await upgrade(address)
    await downgrade(address, to="0005")
    database = Database(address)
    superuser = await asyncpg.connect(postgres.url_of(address.database))
    yield PreviousVersion(address, database, superuser)
    await superuser.close()
    await database.close()


async def find(mine: NeonTaskRepository, **selection: Any) -> set[str]:
    """Return the ids of the selected tasks."""
    page = await mine.page(9, after=None, selection=Selection(**selection))
    return {task["id"] for task in read(page)}


async def test_after_the_migration_rows_of_the_previous_version_are_found_in_every_spelling(
    previous: PreviousVersion,
) -> None:
    ann, bob = someone("ann"), someone("bob")
    with_selector = await previous.insert(ann, "x", [RED_HEART, "İstanbul"], " x ")
    unequal = await previous.insert(ann, UNEQUAL, [HEART], " a \u0338 b ")
    plain = await previous.insert(bob, "x", ["Home"], " x ")
    mine, theirs = previous.tasks_of(ann), previous.tasks_of(bob)
    revisions = await previous.revision_of(ann), await previous.revision_of(bob)

    assert await previous.migrate() == ["the keys and words of 2 tasks"]
    for tag, tasks in {
        HEART: [with_selector, unequal],
        RED_HEART: [with_selector, unequal],
        "istanbul": [with_selector],
    }.items():
        assert await find(mine, tags=(tag_key(tag),)) == {str(task.id) for task in tasks}, tag
    for word in ("≠", "=\u0338"):
        assert await find(mine, search=Search.parse(word)) == {str(unequal.id)}, word
    shown = await mine.show(with_selector.id)
    assert (shown.version, json.loads(shown.json)["tags"]) == (1, [RED_HEART, "İstanbul"])
    assert await find(theirs, tags=("home",)) == {str(plain.id)}
    # The lists of Ann changed, those of Bob did not.
    assert await mine.revision() > revisions[0]
    assert await theirs.revision() == revisions[1]


async def test_a_task_with_two_spellings_of_one_tag_keeps_the_first_in_its_place_and_counts_once(
    previous: PreviousVersion,
) -> None:
    ann = someone("ann")
    task = await previous.insert(ann, "x", ["İstanbul", RED_HEART, HEART, "a", "istanbul"], " x ")

    await previous.migrate()

    mine = previous.tasks_of(ann)
    seen = json.loads((await mine.show(task.id)).json)
    assert (seen["tags"], seen["version"]) == (["İstanbul", RED_HEART, "a"], 2)
    summary = await mine.summary(Day.at(later(0), ZoneInfo("UTC")))
    assert summary.tags == (TagCount("a", 1, 0), TagCount("İstanbul", 1, 0), TagCount(RED_HEART, 1, 0))
    assert (await mine.change(task.id, TaskChanges(tags=seen["tags"]), at=later(1))).version == 2


async def test_every_slice_of_a_long_list_is_recomputed_and_a_second_run_changes_nothing(
    previous: PreviousVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "OWNERS_AT_ONCE", 1)
    ann, bob = someone("ann"), someone("bob")
    for owner in (ann, bob):
        await previous.insert(owner, UNEQUAL, [RED_HEART], " a \u0338 b ")
    await previous.superuser.execute(
        """INSERT INTO tasks (user_id, id, title, position, tags, tag_keys)
           SELECT $1, gen_random_uuid(), 'x', 'a', ARRAY[$2], ARRAY[$2] FROM generate_series(1, $3)""",
        ann, RED_HEART, SLICE,
    )  # fmt: skip

    # `stamp=False`, because the table `tasks` of this schema has no column `revision` yet.
    assert await backfill_derived_columns(previous.address, stamp=False) == SLICE + 2
    assert await backfill_derived_columns(previous.address, stamp=False) == 0
    assert await previous.keys_of(bob) == [tag_key(HEART)]


async def test_the_backfill_waits_for_running_writes_and_continues_after_a_stop_with_the_rest(
    previous: PreviousVersion,
) -> None:
    ann, bob = sorted((someone("ann"), someone("bob")))
    for owner in (ann, bob):
        await previous.insert(owner, "x", [RED_HEART], " x ")

    async with writing(previous, bob):
        migration = asyncio.create_task(upgrade(previous.address))
        await until_blocked(previous)
        # The tasks of Ann are recomputed and unlocked, although the migration has not ended.
        await previous.write(ann)
        assert await previous.keys_of(ann) == [tag_key(HEART)]
        migration.cancel()
        with pytest.raises(asyncio.CancelledError):
            await migration

    assert await previous.migrate() == ["the keys and words of 1 task"]


async def test_the_backfill_reads_a_task_again_that_changed_between_its_read_and_write(
    previous: PreviousVersion,
) -> None:
    ann = someone("ann")
    task = await previous.insert(ann, "x", [RED_HEART], " x ")

    async with writing(previous, ann) as connection:
        backfilling = asyncio.create_task(backfill_derived_columns(previous.address, stamp=False))
        await until_blocked(previous)
        await connection.execute(
            "UPDATE tasks SET title = $2, title_words = 'old', version = version + 1 WHERE id = $1",
            task.id,
            UNEQUAL,
        )

    assert await backfilling == 1
    await previous.migrate()
    assert await find(previous.tasks_of(ann), search=Search.parse("≠")) == {str(task.id)}


@asynccontextmanager
async def writing(previous: PreviousVersion, owner: Any) -> AsyncIterator[Any]:
    """Lock an owner's row as a write of the previous version does. Commit when the block ends."""
    async with previous.superuser.transaction():
        await previous.superuser.execute("SELECT FROM task_owners WHERE user_id = $1 FOR UPDATE", owner)
        yield previous.superuser


async def until_blocked(previous: PreviousVersion) -> None:
    """Wait until a statement waits for a lock in this database."""
    waiting = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT granted AND a.datname = current_database()"
    async with asyncio.timeout(20):
        while not await previous.superuser.fetchval(waiting):  # noqa: ASYNC110 - another process waits
            await asyncio.sleep(0.02)
