"""The use cases of `TaskService`, on the repository in memory."""

from dataclasses import replace

import pytest

from app.domain.clock import to_rfc3339
from app.domain.errors import TaskNotFound
from app.domain.task import TaskChanges
from app.domain.task_service import TaskService
from tests.support.expected_json import read, shown
from tests.support.factories import MANY, NOON, NewTaskFactory, a_task_id, later, someone, task_made
from tests.support.fakes import MemoryTaskRepository

OWNER = someone()


def service_at(minutes: int, repository: MemoryTaskRepository | None = None) -> TaskService:
    """Return a service whose clock stands at this number of minutes after noon."""
    return TaskService(repository or MemoryTaskRepository(OWNER), lambda: later(minutes), MANY)


async def test_a_created_task_has_the_given_fields_and_the_current_time() -> None:
    service, new = service_at(0), NewTaskFactory.build(completed=True)

    task_id, seen = await service.create(new)

    task = read(seen)
    assert (task["id"], task["title"], task["description"]) == (str(task_id), new.title, new.description)
    assert task["created_at"] == task["updated_at"] == task["completed_at"] == to_rfc3339(NOON)
    assert await service.show(task_id) == seen


async def test_a_newer_task_comes_before_an_older_one_in_the_manual_order() -> None:
    repository = MemoryTaskRepository(someone())

    _, older = await service_at(0, repository).create(NewTaskFactory.build())
    _, newer = await service_at(1, repository).create(NewTaskFactory.build())

    assert read(newer)["position"] < read(older)["position"]


async def test_given_more_tasks_than_fit_then_the_page_says_where_the_next_page_begins() -> None:
    service = service_at(0)
    for minutes in range(5):
        await service.tasks.add(task_made(minutes), at_most=MANY)

    first = await service.list(limit=2)
    second = await service.list(limit=2, after=first.next)
    third = await service.list(limit=2, after=second.next)

    times = [[task["created_at"] for task in read(page)] for page in (first, second, third)]
    assert times == [[to_rfc3339(later(minute)) for minute in minutes] for minutes in ([4, 3], [2, 1], [0])]
    assert third.next is None


async def test_given_exactly_as_many_tasks_as_fit_then_there_is_no_next_page() -> None:
    service = service_at(0)
    for minutes in range(2):
        await service.tasks.add(task_made(minutes), at_most=MANY)

    assert (await service.list(limit=2)).next is None


async def test_a_change_keeps_the_fields_that_it_does_not_name() -> None:
    service = service_at(9)
    task = task_made(0)
    await service.tasks.add(task, at_most=MANY)

    changed = await service.change(task.id, TaskChanges(title="new"))

    assert changed == shown(replace(task, title="new", updated_at=later(9), version=2), OWNER)


async def test_an_empty_change_keeps_the_task_and_its_updated_at() -> None:
    service = service_at(9)
    task = task_made(0)
    await service.tasks.add(task, at_most=MANY)

    assert await service.change(task.id, TaskChanges()) == shown(task, OWNER)


@pytest.mark.parametrize(
    ("completed", "before", "after"), [(None, False, True), (None, True, False), (True, True, True)]
)
async def test_complete_sets_the_given_value_and_toggles_without_one(
    completed: bool | None,  # noqa: FBT001
    before: bool,  # noqa: FBT001
    after: bool,  # noqa: FBT001
) -> None:
    service = service_at(9)
    task_id, _ = await service.create(NewTaskFactory.build(completed=before))

    assert read(await service.complete(task_id, completed))["completed"] is after


async def test_a_request_for_an_absent_task_raises_task_not_found() -> None:
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
