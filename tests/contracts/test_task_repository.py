"""What every `TaskRepository` promises, run against each one we have."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.api import schemas
from app.domain.errors import TaskNotFound
from app.domain.identity import UserId
from app.domain.page import Page, Position
from app.domain.task import TaskChanges
from app.domain.task_repository import TaskRepository
from app.infra.database import Database
from app.infra.tasks import NeonTaskRepository
from tests.factories import TaskFactory, a_task_id, later, someone, task_made
from tests.fakes import MemoryTaskRepository, Shelf

RepositoryOf = Callable[[UserId], TaskRepository]


@pytest.fixture(params=["memory", pytest.param("neon", marks=pytest.mark.server)])
def repository_of(request: pytest.FixtureRequest) -> RepositoryOf:
    """Given one store, a repository for any owner of it."""
    if request.param == "memory":
        shelf: Shelf = {}
        return lambda owner: MemoryTaskRepository(owner, shelf)
    database: Database = request.getfixturevalue("database")
    return lambda owner: NeonTaskRepository(database, owner=owner)


def ids_of(page: Page) -> list[str]:
    tasks: list[dict[str, Any]] = json.loads(page.shown)
    return [task["id"] for task in tasks]


async def test_an_added_task_can_be_read_back(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())
    task = TaskFactory.build(title="🌱 x\n'\"\\ %_", description=None)

    await mine.add(task)

    assert await mine.get(task.id) == task


async def test_a_task_is_shown_as_the_api_writes_it(repository_of: RepositoryOf) -> None:
    owner = someone('a "b" \\ é')
    mine = repository_of(owner)
    tasks = [
        TaskFactory.build(title="🌱 x\t'\"\\ %_/\u2028\x7f", description="\x01\n日本"),
        TaskFactory.build(title="x", description=None, completed=True, updated_at=later(1)),
    ]
    for task in tasks:
        await mine.add(task)

    shown = [await mine.show(task.id) for task in tasks]

    assert shown == [schemas.encode(schemas.Task.of(task, owner)) for task in tasks]


async def test_another_owners_task_is_not_found_and_stays_as_it_was(repository_of: RepositoryOf) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(someone("bob"))
    task = TaskFactory.build()
    await theirs.add(task)

    for attempt in (
        mine.get(task.id),
        mine.show(task.id),
        mine.change(task.id, TaskChanges(title="mine now"), at=later(1)),
        mine.toggle(task.id, at=later(1)),
        mine.remove(task.id),
    ):
        with pytest.raises(TaskNotFound):
            await attempt

    assert await theirs.get(task.id) == task


async def test_two_owners_may_hold_the_same_id(repository_of: RepositoryOf) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(someone("bob"))
    task = TaskFactory.build()
    await mine.add(task)
    await theirs.add(task)

    await mine.remove(task.id)

    assert await theirs.get(task.id) == task


async def test_a_list_holds_only_the_owners_tasks_newest_first(repository_of: RepositoryOf) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(someone("bob"))
    older, newer = task_made(0), task_made(1)
    for task in (newer, older):
        await mine.add(task)
    await theirs.add(task_made(2))

    page = await mine.page(10, after=None)

    assert ids_of(page) == [str(newer.id), str(older.id)]
    assert page.next is None


async def test_a_list_goes_on_after_a_position_even_if_its_task_is_gone(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())
    tasks = [task_made(minutes) for minutes in range(4)]
    for task in tasks:
        await mine.add(task)
    await mine.remove(tasks[2].id)

    page = await mine.page(1, after=Position(tasks[2].id))

    assert ids_of(page) == [str(tasks[1].id)]
    assert page.next == tasks[1].id


@pytest.mark.parametrize(
    "changes",
    [
        TaskChanges(title="new"),
        TaskChanges(description="new"),
        TaskChanges(description=None),
        TaskChanges(completed=True),
        TaskChanges(title="new", description=None, completed=True),
    ],
)
async def test_a_change_touches_what_it_names_and_the_time(
    repository_of: RepositoryOf, changes: TaskChanges
) -> None:
    mine = repository_of(someone())
    task, other = task_made(0), task_made(1)
    await mine.add(task)
    await mine.add(other)

    changed = await mine.change(task.id, changes, at=later(5))

    before = {name: getattr(task, name) for name in ("title", "description", "completed")}
    after = {name: getattr(changed, name) for name in before}
    assert after == {**before, **changes.named()}
    assert (changed.created_at, changed.updated_at) == (later(0), later(5))
    assert await mine.get(task.id) == changed
    assert await mine.get(other.id) == other


async def test_toggling_twice_is_as_before_but_for_the_time(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())
    task = TaskFactory.build(completed=False)
    await mine.add(task)

    first = await mine.toggle(task.id, at=later(1))
    second = await mine.toggle(task.id, at=later(2))

    assert (first.completed, first.updated_at) == (True, later(1))
    assert (second.completed, second.updated_at) == (False, later(2))


async def test_a_removed_task_is_gone(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())
    task = TaskFactory.build()
    await mine.add(task)

    await mine.remove(task.id)

    for attempt in (mine.get(task.id), mine.show(task.id), mine.remove(task.id)):
        with pytest.raises(TaskNotFound):
            await attempt


async def test_an_absent_task_is_not_found(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())

    with pytest.raises(TaskNotFound) as raised:
        await mine.get(absent := a_task_id())

    assert raised.value.task_id == absent
