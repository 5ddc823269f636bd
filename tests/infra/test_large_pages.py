"""A page has at most 1 MB, whatever the size of its tasks. The database reads at most 10 MB for a page."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from app.domain.due import Due
from app.domain.identity import UserId
from app.domain.task_list import PAGE_BYTES, Order, Page, Search, Selection
from app.infra.postgres.database import Database
from app.infra.postgres.session import Row, Session
from app.infra.statements.lists import NEWEST_FIRST, page_of
from app.infra.statements.owner_scope import Statement
from app.infra.tasks import NeonTaskRepository
from tests.support.factories import NOON, TaskFactory, later, someone

pytestmark = pytest.mark.server

LONGEST = "𝄞 " * 5_000  # 25,000 bytes
COUNT = 70  # tasks of a person
SELECTIONS = {
    **{
        f"{'-' * descending}{order.value}": Selection(order=order, descending=descending)
        for order in Order
        for descending in (True, False)
    },
    "done": Selection(order=Order.TITLE, completed=True),
    "found": Selection(search=Search.parse("task")),
    "trashed": Selection(trashed=True),
}


class RecordingSession:
    """A session that keeps the rows of each statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.rows: list[Sequence[Row]] = []

    async def fetch(self, statement: Statement, values: Mapping[str, object]) -> Sequence[Row]:
        self.rows.append(await self._database.fetch(statement, values))
        return self.rows[-1]

    def transaction(self) -> AbstractAsyncContextManager[Session]:
        return self._database.transaction()


async def add_tasks(
    database: Database, owner: UserId, descriptions: Sequence[str], *, trashed: bool = False
) -> None:
    """Add tasks at different times: every second one is completed, and every third has no due date."""
    mine = NeonTaskRepository(database, owner=owner)
    for number, description in enumerate(descriptions):
        task = TaskFactory.build(
            description=description,
            completed=bool(number % 2),
            completed_at=NOON if number % 2 else None,
            due=Due.parse("2026-01-31") if number % 3 else None,
            created_at=later(number),
            updated_at=later(number),
        )
        await mine.add(task, at_most=1_000)
        if trashed:
            await mine.trash(task.id, at=NOON)


async def all_pages(database: Database, owner: UserId, selection: Selection, limit: int) -> list[Page]:
    mine, after = NeonTaskRepository(database, owner=owner), None
    pages: list[Page] = []
    while not pages or after is not None:
        pages.append(await mine.page(limit, after=after, selection=selection))
        after = pages[-1].next
    return pages


@pytest.fixture(scope="module")
async def owners(database: Database) -> dict[bool, UserId]:
    """Two people with long tasks: under False the one whose list has them, under True the one whose trash has them."""
    found = {}
    for trashed in (False, True):
        found[trashed] = someone()
        await add_tasks(database, found[trashed], [LONGEST] * COUNT, trashed=trashed)
    return found


@pytest.mark.parametrize("limit", [200, 1_000])
@pytest.mark.parametrize("selection", SELECTIONS.values(), ids=SELECTIONS)
async def test_a_list_of_large_tasks_is_complete_and_no_page_has_more_than_1_mb(
    database: Database, owners: dict[bool, UserId], selection: Selection, limit: int
) -> None:
    expected = await all_pages(database, owners[selection.trashed], selection, 10)

    pages = await all_pages(database, owners[selection.trashed], selection, limit)

    assert [task for page in pages for task in json.loads(page.json)] == [
        task for page in expected for task in json.loads(page.json)
    ]
    assert all(len(page.json) <= PAGE_BYTES for page in pages)
    assert len(pages) < len(expected)


async def test_a_small_page_is_read_once_and_a_page_that_is_too_large_more_than_once(
    database: Database, owners: dict[bool, UserId]
) -> None:
    ann = someone()
    await add_tasks(database, ann, ["short"] * COUNT)

    reads = {}
    for owner in (ann, owners[False]):
        connection = RecordingSession(database)
        await NeonTaskRepository(connection, owner=owner).page(200, after=None)
        reads[owner] = len(connection.rows)

    assert reads[ann] == 1
    assert reads[owners[False]] > 1


async def test_the_database_sends_no_tasks_of_a_page_that_is_too_large(
    database: Database, owners: dict[bool, UserId]
) -> None:
    values = {"owner": owners[False], "limit": COUNT}

    (row,) = await database.fetch(page_of(NEWEST_FIRST), values)

    assert row["shown"] == []


async def test_a_task_larger_than_its_share_of_10_mb_is_not_read(database: Database) -> None:
    ann = someone()
    await add_tasks(database, ann, [LONGEST, "short"])

    # A share of 10 MB is 10 KB here, and 40 KB in the second statement. `LONGEST` has 25 KB.
    (among_many,) = await database.fetch(page_of(NEWEST_FIRST), {"owner": ann, "limit": 1_001})
    (among_few,) = await database.fetch(page_of(NEWEST_FIRST), {"owner": ann, "limit": 251})

    assert sorted(task is None for task in among_many["shown"]) == [False, True]
    assert None not in among_few["shown"]
