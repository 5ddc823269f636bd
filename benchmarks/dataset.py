"""The data set: tasks of many owners, in the order in which they would have been written. Kept for the next run."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import asyncpg

from app.infra.migrate import upgrade
from app.settings.database_address import DatabaseAddress
from benchmarks.scenes import TITLE, Owner
from dev.postgres import LOGIN, PostgresServer

TASKS_EACH: Final = 200
CHUNK: Final = 50_000  # rows of one INSERT
VERSION: Final = "1"  # changes when the rows do

HEAVY: Final = (100, 10_000, 100_000)
"""Owners of another size, by their number of tasks."""

# Everybody writes in turns, so one person's rows lie far apart in the table, as they do in life. Times are
# whole milliseconds, which is all that JavaScript's Date can hold.
FILL: Final = """
INSERT INTO tasks (user_id, id, title, description, completed, created_at, updated_at)
SELECT {owner}, (lpad(to_hex((1700000000000 + n * 997)), 12, '0') || '7'
                || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
       (ARRAY['Water the plants', 'Call the dentist about Tuesday', 'Läufer für den Flur messen', '日本語の宿題をする',
              'Read "The Trial"', 'Buy milk, bread and coffee', 'Send the invoice for October'])[1 + n % 7] || ' ' || n,
       CASE WHEN n % 2 = 0 THEN 'Not before ' || (n % 12 + 1) || ' o''clock.' || E'\\n' || 'Ask first.' END,
       n % 3 = 0, moment, moment
FROM generate_series($1::bigint, $2::bigint - 1) n,
     LATERAL (SELECT to_timestamp((1700000000000 + n * 997) / 1000.0)) AS t (moment)
"""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A database that is filled."""

    tasks: int
    name: str
    server: PostgresServer

    @property
    def url(self) -> str:
        """Its address for the service, whose login is like the one that Neon hands out."""
        return self.server.url_of(self.name)

    @property
    def url_without_wall(self) -> str:
        """Its address for peers that know of no row-level security: a superuser is not bound by it."""
        return self.server.url_of(self.name, admin=True)

    @property
    def owners(self) -> int:
        """How many people there are."""
        return self.tasks // TASKS_EACH


def ensure(server: PostgresServer, tasks: int) -> Dataset:
    """Return the data set of so many tasks; make it, showing progress, where it is not there yet."""
    dataset = Dataset(tasks, f"bench_{tasks}_v{VERSION}", server)
    known = server.query(
        "SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database"
        f" WHERE datname = '{dataset.name}'"  # noqa: S608 - a name of ours
    )
    if known != "complete":
        server.query(f"DROP DATABASE IF EXISTS {dataset.name}")
        server.query(f"CREATE DATABASE {dataset.name} OWNER {LOGIN}")
    asyncio.run(upgrade(DatabaseAddress.parse(dataset.url)))
    if known != "complete":
        asyncio.run(_fill(dataset))
        server.query(f"COMMENT ON DATABASE {dataset.name} IS 'complete'")
    return dataset


async def _fill(dataset: Dataset) -> None:
    connection = await asyncpg.connect(dataset.url_without_wall)
    try:
        everybody = FILL.format(owner=f"md5((n % {dataset.owners})::text)")
        steps = [(everybody, at, min(at + CHUNK, dataset.tasks)) for at in range(0, dataset.tasks, CHUNK)]
        for size in HEAVY:
            steps.append((FILL.format(owner=f"'heavy-{size}'"), 0, size))
        for number, (sql, first, end) in enumerate(steps, 1):
            await connection.execute(sql, first, end)
            _progress(f"{dataset.tasks:,} tasks of {dataset.owners:,} owners", number / len(steps))
        await connection.execute("VACUUM (ANALYZE) tasks")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def some_owners(dataset: Dataset, count: int, token_of: Callable[[str], str]) -> list[Owner]:
    """Return people with their tasks' ids and a token each."""
    connection = await asyncpg.connect(dataset.url_without_wall)
    try:
        names = [
            row["user_id"]
            for row in await connection.fetch(
                "SELECT md5(n::text) AS user_id FROM generate_series(0, $1 - 1, greatest($1 / $2, 1)) n LIMIT $2",
                dataset.owners,
                count,
            )
        ]
        ids: dict[str, list[str]] = {name: [] for name in names}
        for row in await connection.fetch("SELECT user_id, id FROM tasks WHERE user_id = ANY($1)", names):
            ids[row["user_id"]].append(str(row["id"]))
        return [Owner(name, token_of(name), tuple(ids[name])) for name in names]
    finally:
        await connection.close()


async def forget_new(dataset: Dataset) -> None:
    """Take out what a scene created, so that every round meets the same table."""
    connection = await asyncpg.connect(dataset.url_without_wall)
    try:
        await connection.execute("DELETE FROM tasks WHERE title = $1", TITLE)
        await connection.execute("VACUUM tasks")
    finally:
        await connection.close()


def _progress(what: str, share: float) -> None:
    if sys.stdout.isatty():
        bar = "█" * round(share * 30)
        print(f"\r  {what}  {bar:<30} {share:4.0%}", end="\n" if share == 1 else "", flush=True)
    elif round(share * 100) % 25 == 0 or share == 1:
        print(f"  {what}: {share:.0%}", flush=True)
