"""What every `TaskRepository` promises of changes, run against each one we have."""

import json
from typing import Any

import pytest

from app.domain.changes import ChangesToken
from app.domain.task_repository import TaskRepository
from tests.support.factories import MANY, later, someone, task_made
from tests.support.fakes import MemoryTaskRepository, Shelf


@pytest.fixture
def mine() -> TaskRepository:
    """The tasks of one person, in memory."""
    return MemoryTaskRepository(someone(), Shelf())


async def read(
    mine: TaskRepository, since: ChangesToken | None, *, limit: int = 200
) -> tuple[list[Any], ChangesToken]:
    """Read all changes since a token, page by page. Return them, and the token that follows."""
    found: list[Any] = []
    while True:
        page = await mine.changes(since, limit=limit)
        changes = json.loads(page.changes)
        assert len(changes) <= limit
        found += changes
        since = page.next
        if not page.more:
            return found, since


async def test_a_client_without_a_token_reads_all_tasks_and_then_only_what_changed(
    mine: TaskRepository,
) -> None:
    tasks = [task_made(minutes) for minutes in range(3)]
    for task in tasks:
        await mine.add(task, at_most=MANY)
    await mine.trash(tasks[1].id, at=later(5))

    whole, token = await read(mine, None)
    await mine.toggle(tasks[0].id, at=later(6))
    await mine.purge(tasks[1].id)
    changes, last = await read(mine, token)

    assert [change["id"] for change in whole] == [str(tasks[n].id) for n in (0, 2, 1)]
    assert [change["task"]["trashed_at"] is None for change in whole] == [True, True, False]
    assert [(one["id"], one["task"] and one["task"]["completed"]) for one in changes] == [
        (str(tasks[0].id), True),
        (str(tasks[1].id), None),
    ]
    assert await read(mine, last) == ([], last)
