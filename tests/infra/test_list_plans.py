"""A page in any order reads its own rows and at most two more. With filters, it reads only rows of its owner.

Each of these faults, put into the code on purpose, made a test fail: `completed` removed from the indexes of
`0002_richer_tasks`; no `LIMIT` in the two parts of a page, the open and the completed tasks; the row comparison
written with `OR`, or made strict; tasks with and without due date read in one part.
"""

import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import asyncpg
import pytest

from app.infra.postgres.connect import Connection, driver_arguments
from app.infra.statements.lists import CONDITIONS, FILTERS, Shape, page_of, template_of
from app.infra.statements.summary import SUMMARY
from app.infra.tables import ORDERS
from app.infra.task_lists import next_id
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.support.factories import NOON
from tests.support.plans import KINDS, Plan, plan_of
from tests.support.servers.migrated import migrated_database

pytestmark = pytest.mark.server

MANY, PAGE = 10_000, 50
FILL = """
INSERT INTO tasks (user_id, id, title, description, completed, created_at, updated_at, due_at, priority, tags,
                   tag_keys, position, title_key, title_words, description_words)
SELECT owner, gen_random_uuid(), title, title, n % 3 = 0, now(), now() - n % 1000 * interval '1 minute',
       CASE WHEN n % 2 = 0 THEN now() + n % 500 * interval '1 hour' END, n % 4, tags, tags,
       md5(n::text), title, ' ' || title || ' ', ' ' || repeat(title || ' ', 10)
FROM (SELECT 'ann' AS owner, $1 AS many UNION ALL SELECT 'bob ' || n, $1 / 10 FROM generate_series(1, 60) n) AS p,
     generate_series(1, many) AS n,
     LATERAL (SELECT 'task ' || n % 5000 AS title, ARRAY['tag ' || n % 100] AS tags) AS made
"""
VALUES: Mapping[str, object] = {
    "owner": "ann",
    "completed": True,
    "priority": 3,
    "tags": ["tag 3"],
    "due_before": NOON.replace(year=2100),
    "due_after": NOON,
    "updated_since": NOON,
    "word0": " task ",
    "verbatim": "%",
    **dict.fromkeys(("now", "today", "day_start", "day_end"), NOON),
}

OF_BOB, TASKS_OF_BOB = {**VALUES, "owner": "bob 7"}, MANY // 10
"""Bob has few tasks. Ann has so many that PostgreSQL may as well read the whole table for her."""


@pytest.fixture(scope="module")
async def connection(postgres: PostgresServer) -> AsyncIterator[Connection]:
    """A connection to a database in which Ann has ten thousand tasks, and each of sixty others a thousand."""
    url = await migrated_database(postgres)
    connection = await asyncpg.connect(url)
    await connection.execute(FILL.replace("$1", str(MANY)))
    await connection.execute("VACUUM ANALYZE tasks")
    yield connection
    await connection.close()


async def _pages(connection: Any, shape: Shape, **values: object) -> list[tuple[Shape, dict[str, object]]]:
    """Return the first page, and the pages after 1,000 and after 3,000 tasks, each with its values."""
    first_page = {**VALUES, **values, "limit": PAGE + 1}
    pages: list[tuple[Shape, dict[str, object]]] = [(shape, first_page)]
    statement = page_of(shape)
    for count in (1000, 3000):
        before = {**first_page, "limit": count}
        row = await connection.fetchrow(statement.sql, *(before[name] for name in statement.names))
        key = row.get("last_key")
        shape_after = replace(shape, after=True, undated=shape.order == "due" and key is None)
        first_id = next_id(row["last_id"], descending=shape.descending)
        pages.append((shape_after, {**first_page, "first": first_id, "key": key}))
    return pages


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", ORDERS)
async def test_a_page_in_any_order_reads_its_own_rows_and_at_most_two_more(
    connection: Any,
    order: str,
    descending: bool,  # noqa: FBT001 - a parameter
    kind: str,
) -> None:
    read: list[tuple[Shape, tuple[str, ...], Plan]] = []
    for completed in (None, True, False):
        conditions: tuple[str, ...] = () if completed is None else ("completed",)
        shape = Shape(order=order, descending=descending, conditions=conditions)
        pages = await _pages(connection, shape, completed=completed)
        read += [
            (page, conditions, await plan_of(connection, kind, page_of(page), values))
            for page, values in pages
        ]

    for page, conditions, plan in read:
        # Such a page is merged from an index range of open tasks and one of completed tasks.
        merged = order != "created" and not conditions
        columns = dict.fromkeys((*(["completed"] if merged else conditions), ORDERS[order], "id"))
        assert plan.indexes == {f"ix_tasks_{'_'.join(columns)}"}, page
        assert plan.rows_read <= PAGE + 1 + merged, page  # one more from the other of two indexes
        assert not plan.sorts, page


def test_the_statements_of_all_lists_are_built_from_few_templates() -> None:
    filters = [names for size in range(8) for names in combinations(CONDITIONS, size)]
    shapes = [
        Shape(order, descending, trashed, conditions, words, verbatim, after, undated and order == "due")
        for order in ORDERS
        for descending, trashed, verbatim, after, undated in product((False, True), repeat=5)
        for conditions in filters[::5]
        for words in (0, 1, 10)
    ]

    for shape in shapes:
        statement = page_of(shape)
        numbers = {int(number) for number in re.findall(r"\$(\d+)", statement.sql)}
        assert numbers == set(range(1, len(statement.names) + 1)), shape
        assert FILTERS not in statement.sql

    assert len(shapes) > 10_000
    assert template_of.cache_info().currsize < 250


def test_the_statement_of_a_new_kind_of_list_costs_at_most_a_tenth_of_compiling_one() -> None:
    shapes = [
        Shape(conditions=conditions, words=words, verbatim=True)
        for size in range(1, 7)
        for conditions in combinations(CONDITIONS.keys() - {"completed"}, size)
        for words in range(1, 11)
    ]
    template_of.cache_clear()
    page_of.cache_clear()

    began = time.thread_time()
    page_of(shapes.pop())
    compiled = time.thread_time()
    for shape in shapes:
        page_of(shape)
    made = time.thread_time()

    assert (made - compiled) / len(shapes) < (compiled - began) / 10


def test_the_longest_statement_is_short_enough_for_the_cache_of_the_driver() -> None:
    longest = page_of(
        Shape(
            order="due",
            conditions=tuple(CONDITIONS.keys() - {"completed"}),
            words=20,
            verbatim=True,
            after=True,
        )
    )
    arguments = driver_arguments(DatabaseAddress.parse("postgresql://u:p@localhost/d"))

    assert len(longest.sql) < arguments["max_cacheable_statement_size"]


async def test_a_page_that_ends_with_tasks_without_a_due_date_reads_one_row_more(
    connection: Any,
) -> None:
    shape = Shape(order="due", descending=True, conditions=("completed",))
    dated = await connection.fetchval(
        "SELECT count(*) FROM tasks WHERE user_id = 'ann' AND completed AND due_at IS NOT NULL"
    )
    statement = page_of(shape)
    values = {**VALUES, "limit": dated - 10}  # the page after these tasks begins with the last ten dated ones
    row = await connection.fetchrow(statement.sql, *(values[name] for name in statement.names))

    first_id = next_id(row["last_id"], descending=True)
    values = {**VALUES, "first": first_id, "key": row["last_key"], "limit": PAGE + 1}
    plan = await plan_of(connection, "force_generic_plan", page_of(replace(shape, after=True)), values)

    assert plan.rows_read == PAGE + 1
    assert len(plan.scans_of_tasks) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape",
    [
        *(
            Shape(conditions=(name,))
            for name in ("priority", "tags", "due_before", "due_after", "without_due", "updated_since")
        ),
        Shape(words=1),
        Shape(verbatim=True),
        Shape(order="title", words=1, conditions=("tags",)),
        Shape(trashed=True, order="title"),
    ],
    ids=str,
)
async def test_any_other_list_reads_only_its_owners_rows(connection: Any, shape: Shape, kind: str) -> None:
    plan = await plan_of(connection, kind, page_of(shape), {**OF_BOB, "limit": PAGE + 1})

    assert plan.rows_read <= TASKS_OF_BOB
    assert all(scan["Node Type"] != "Seq Scan" for scan in plan.scans_of_tasks)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_summary_reads_its_owners_rows_once(connection: Any, kind: str) -> None:
    plan = await plan_of(connection, kind, SUMMARY, OF_BOB)

    assert plan.rows_read == TASKS_OF_BOB


def test_the_indexes_of_a_plan_include_those_that_a_bitmap_reads() -> None:
    reads = [{"Node Type": "Bitmap Index Scan", "Index Name": name} for name in ("one", "other")]
    both = {"Node Type": "BitmapAnd", "Plans": reads}

    plan = Plan({"Node Type": "Bitmap Heap Scan", "Relation Name": "tasks", "Plans": [both]})

    assert plan.indexes == {"one", "other"}
