"""The data sets: tasks of many owners, which take turns in the table. A data set is kept for the next run."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import asyncpg

from app.infra.migrations.run import upgrade
from app.settings.database_address import DatabaseAddress
from benchmarks.scenes import FIRST_REVISION, TITLE, Owner
from dev.postgres import LOGIN, PostgresServer
from dev.steps import print_progress

TASKS_EACH: Final = 200
SENDERS: Final = 50  # people who send requests: the same number in each data set
CHUNK: Final = 50_000  # rows of one INSERT
VERSION: Final = "3"  # of the data sets: must change when FILL gives other rows

HEAVY: Final = {"heavy-100": 10_000, "heavy-10000": 100, "heavy-100000": 10}
"""Owners with longer lists in the heavy data set. 10: each tenth task of the data set is this owner's."""

# All owners write in turn, so the rows of one person are far apart in the table, as in production. Times are
# whole milliseconds, because JavaScript's Date has no finer times. Each task is 997 ms later than the one
# before it, and the first is of November 2023 (1700000000000). 72057594037927935 is `position.HORIZON`.
FILL: Final = """
INSERT INTO tasks (user_id, id, title, description, completed, created_at, updated_at, completed_at,
                   priority, tags, tag_keys, position, title_key, title_words, description_words)
SELECT user_id, id, title, description, completed, moment, moment, CASE WHEN completed THEN moment END,
       n % 4, tags, tags, lpad(to_hex(72057594037927935 - ms * 1000), 14, '0') || 'V',
       lower(title), ' ' || lower(title) || ' ', coalesce(' ' || lower(description) || ' ', '')
FROM (
SELECT {owner} AS user_id, (lpad(to_hex(ms), 12, '0') || '7'
                || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid AS id,
       (ARRAY['Water the plants', 'Call the dentist about Tuesday', 'Läufer für den Flur messen',
              '日本語の宿題をする', 'Read "The Trial"', 'Buy milk, bread and coffee',
              'Send the invoice for October'])[1 + n % 7] || ' ' || n AS title,
       CASE WHEN n % 2 = 0 THEN 'Not before ' || (n % 12 + 1) || ' o''clock.' || E'\\n' || 'Ask first.' END
           AS description,
       n % 3 = 0 AS completed, CASE WHEN n % 5 = 0 THEN ARRAY['home'] ELSE ARRAY[]::text[] END AS tags,
       to_timestamp(ms / 1000.0) AS moment, n, ms
FROM generate_series($1::bigint, $2::bigint - 1) n, LATERAL (SELECT 1700000000000 + n * 997) AS t (ms)
) AS filled
"""
COUNT: Final = f"""
INSERT INTO task_owners (user_id, revision, tasks)
SELECT user_id, {FIRST_REVISION}, count(*) FROM tasks GROUP BY user_id
"""  # noqa: S608 - a number of ours

# FILL computes `created_at` and `completed` from the number of a task, so `created_at` gives the old
# `completed`.
RESTORE: Final = """
UPDATE {table} SET completed = was, completed_at = CASE WHEN was THEN created_at END,
                   updated_at = created_at, version = 1{more}
FROM (SELECT user_id AS owner, id AS task,
             ((extract(epoch FROM created_at) * 1000)::bigint - 1700000000000) / 997 % 3 = 0 AS was
      FROM {table} WHERE version > 1) AS changed
WHERE user_id = owner AND id = task
"""
RECOUNT: Final = f"""
UPDATE task_owners SET revision = {FIRST_REVISION}, tasks = counted.tasks, kept_answers = 0, kept_bytes = 0
FROM (SELECT user_id, count(*) AS tasks FROM tasks GROUP BY user_id) AS counted
WHERE counted.user_id = task_owners.user_id AND task_owners.revision > {FIRST_REVISION}
"""  # noqa: S608 - a number of ours

# Peers have the same tasks in a simple table: only the shown columns, and one index.
PEER: Final = "bench_peer"
PLAIN: Final = """
CREATE SCHEMA plain;
CREATE TABLE plain.tasks AS
SELECT user_id, id, title, description, completed, NULL::text AS due,
       (ARRAY['none', 'low', 'medium', 'high'])[priority + 1] AS priority, tags, position, version::int,
       created_at, updated_at, completed_at, trashed_at
FROM tasks ORDER BY id;
ALTER TABLE plain.tasks ADD PRIMARY KEY (user_id, id);
GRANT USAGE ON SCHEMA plain TO bench_peer;
GRANT SELECT, INSERT, UPDATE, DELETE ON plain.tasks TO bench_peer;
"""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A database that is filled."""

    tasks: int
    server: PostgresServer
    heavy: bool = False  # some owners have far more tasks than the others

    @property
    def name(self) -> str:
        """The name of the database."""
        return f"bench_{self.tasks}{'_heavy' if self.heavy else ''}_v{VERSION}"

    @property
    def url(self) -> str:
        """The URL for Taskward. As on Neon, row-level security binds its role only through the views."""
        return self.server.url_of(self.name)

    @property
    def url_of_peers(self) -> str:
        """The URL for peers. They find their plain table under the name `tasks`."""
        return self.server.url_of(self.name, role=PEER)

    @property
    def owners(self) -> int:
        """The number of people in the data set."""
        return self.tasks // TASKS_EACH

    @property
    def owner(self) -> str:
        """The SQL expression for the owner of the n-th task."""
        anybody = f"md5((n % {self.owners})::text)"
        if not self.heavy:
            return anybody
        cases = " ".join(
            f"WHEN n % {each} = {at} THEN '{name}'" for at, (name, each) in enumerate(HEAVY.items())
        )
        return f"CASE {cases} ELSE {anybody} END"


def ensure(server: PostgresServer, tasks: int, *, heavy: bool = False) -> Dataset:
    """Return the data set with this number of tasks. Make it if it is missing, and print the progress."""
    dataset = Dataset(tasks, server, heavy)
    known = server.query(
        f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{dataset.name}'"  # noqa: S608 - a name of ours
    )
    if known != "complete":
        server.query(f"DROP DATABASE IF EXISTS {dataset.name}")
        server.query(f"CREATE DATABASE {dataset.name} OWNER {LOGIN}")
    asyncio.run(upgrade(DatabaseAddress.parse(dataset.url)))
    if known != "complete":
        _ensure_peer(dataset)
        asyncio.run(_fill(dataset))
        server.query(f"COMMENT ON DATABASE {dataset.name} IS 'complete'")
    else:
        asyncio.run(restore(dataset))  # the last run may have been interrupted
    return dataset


def _ensure_peer(dataset: Dataset) -> None:
    dataset.server.make_role(PEER, "")
    dataset.server.query(f"ALTER ROLE {PEER} SET search_path = plain")


async def _fill(dataset: Dataset) -> None:
    what = f"{dataset.tasks:,} tasks of {dataset.owners:,} owners"
    connection = await asyncpg.connect(dataset.url)
    try:
        for first in range(0, dataset.tasks, CHUNK):
            print_progress(what, first / dataset.tasks)
            await connection.execute(
                FILL.format(owner=dataset.owner), first, min(first + CHUNK, dataset.tasks)
            )
        await connection.execute(COUNT)
        await connection.execute(PLAIN)
        for table in ("tasks", "task_owners", "plain.tasks"):
            await connection.execute(f"VACUUM (ANALYZE) {table}")
        print_progress(what, 1)
    finally:
        await connection.close()


async def some_owners(dataset: Dataset, token_of: Callable[[str], str]) -> list[Owner]:
    """Return the people who send requests, each with a token and the ids of their tasks."""
    step = max(dataset.owners // SENDERS, 1)
    names = "SELECT md5((n * $1)::text) FROM generate_series(0, $2 - 1) n"
    return await _owners(dataset, token_of, names, step, SENDERS)


async def heavy_owners(dataset: Dataset, token_of: Callable[[str], str]) -> list[Owner]:
    """Return the owners with longer lists, the one with the fewest tasks first."""
    return await _owners(dataset, token_of, "SELECT unnest($1::text[])", list(HEAVY))


async def _owners(
    dataset: Dataset, token_of: Callable[[str], str], names: str, *arguments: object
) -> list[Owner]:
    connection = await asyncpg.connect(dataset.url)
    try:
        ids: dict[str, list[str]] = {row[0]: [] for row in await connection.fetch(names, *arguments)}
        found = "SELECT user_id, id FROM tasks WHERE user_id = ANY($1) ORDER BY id DESC"
        for row in await connection.fetch(found, list(ids)):
            ids[row["user_id"]].append(str(row["id"]))
        return [Owner(name, token_of(name), tuple(ids[name])) for name in ids]
    finally:
        await connection.close()


async def restore(dataset: Dataset) -> None:
    """Undo what scenes created and toggled, so that every round and every run reads the same rows."""
    connection = await asyncpg.connect(dataset.url)
    try:
        for table, more in {"tasks": ", revision = 0", "plain.tasks": ""}.items():
            await connection.execute(f"DELETE FROM {table} WHERE title = $1", TITLE)  # noqa: S608 - ours
            await connection.execute(RESTORE.format(table=table, more=more))
            await connection.execute(f"VACUUM {table}")
        await connection.execute("TRUNCATE kept_answers")
        await connection.execute(RECOUNT)
        await connection.execute("VACUUM task_owners")
    finally:
        await connection.close()
