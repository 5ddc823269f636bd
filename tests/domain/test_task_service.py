"""What people can do with their tasks, over the repository in memory."""

import json

import pytest

from app.api.schemas import moment
from app.domain.errors import TaskNotFound
from app.domain.task import TaskChanges
from app.domain.task_service import TaskService
from tests.factories import NOON, NewTaskFactory, a_task_id, later, someone, task_made
from tests.fakes import MemoryTaskRepository


def service_at(minutes: int, repository: MemoryTaskRepository | None = None) -> TaskService:
    return TaskService(repository or MemoryTaskRepository(someone()), lambda: later(minutes))


async def test_a_created_task_holds_what_was_said_and_the_present_moment() -> None:
    service, new = service_at(0), NewTaskFactory.build(completed=True)

    task = await service.create(new)

    assert (task.title, task.description, task.completed) == (new.title, new.description, True)
    assert task.created_at == task.updated_at == NOON
    assert await service.tasks.get(task.id) == task


async def test_given_more_tasks_than_fit_then_the_page_says_where_the_next_one_begins() -> None:
    service = service_at(0)
    for minutes in range(5):
        await service.tasks.add(task_made(minutes))

    first = await service.list(limit=2)
    second = await service.list(limit=2, after=first.next)
    third = await service.list(limit=2, after=second.next)

    times = [[task["created_at"] for task in json.loads(page.shown)] for page in (first, second, third)]
    assert times == [
        [moment(later(4)), moment(later(3))],
        [moment(later(2)), moment(later(1))],
        [moment(later(0))],
    ]
    assert third.next is None


async def test_given_exactly_as_many_tasks_as_fit_then_there_is_no_next_page() -> None:
    service = service_at(0)
    for minutes in range(2):
        await service.tasks.add(task_made(minutes))

    assert (await service.list(limit=2)).next is None


async def test_a_change_keeps_what_it_does_not_name() -> None:
    service = service_at(9)
    task = task_made(0)
    await service.tasks.add(task)

    changed = await service.change(task.id, TaskChanges(title="new"))

    assert (changed.title, changed.description, changed.completed) == ("new", task.description, False)
    assert (changed.created_at, changed.updated_at) == (later(0), later(9))


async def test_no_changes_leave_the_task_as_it_was_its_time_too() -> None:
    service = service_at(9)
    task = task_made(0)
    await service.tasks.add(task)

    assert await service.change(task.id, TaskChanges()) == task


@pytest.mark.parametrize(
    ("said", "before", "after"), [(None, False, True), (None, True, False), (True, True, True)]
)
async def test_completing_toggles_or_sets(said: bool | None, before: bool, after: bool) -> None:  # noqa: FBT001
    service = service_at(9)
    task = await service.create(NewTaskFactory.build(completed=before))

    assert (await service.complete(task.id, said)).completed is after


async def test_what_names_an_absent_task_says_so() -> None:
    service, absent = service_at(0), a_task_id()

    for attempt in (
        service.show(absent),
        service.change(absent, TaskChanges()),
        service.change(absent, TaskChanges(title="x")),
        service.complete(absent),
        service.remove(absent),
    ):
        with pytest.raises(TaskNotFound):
            await attempt
