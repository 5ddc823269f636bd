"""What every `TaskRepository` promises, tested in memory and on PostgreSQL."""

from dataclasses import replace

import pytest

from app.domain.clock import to_rfc3339
from app.domain.due import Due
from app.domain.errors import TaskNotFound, TooManyTasks
from app.domain.task import Priority, TaskChanges
from app.domain.task_list import Bookmark, Page
from tests.contracts.conftest import RepositoryOf
from tests.support.expected_json import read, shown
from tests.support.factories import MANY, TaskFactory, a_task_id, later, someone, task_made


def ids_of(page: Page) -> list[str]:
    return [task["id"] for task in read(page)]


async def test_an_added_task_can_be_read_back(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())
    task = TaskFactory.build(title="🌱 x\n'\"\\ %_", description=None)

    added = await mine.add(task, at_most=MANY)

    assert await mine.show(task.id) == added
    assert read(added)["title"] == task.title


async def test_a_task_is_shown_as_the_api_writes_it(repository_of: RepositoryOf) -> None:
    owner = someone('a "b" \\ é')
    mine = repository_of(owner)
    texts = {"title": "🌱 x\t'\"\\ %_/\u2028\x7f", "description": "\x01\n日本"}
    day, moment = Due.parse("1000-01-01"), Due.parse("2026-02-03T04:05:06.7+01:00")
    tasks = [
        TaskFactory.build(**texts, due=day, priority=Priority.HIGH, tags=('a "b"', "é", "null")),
        TaskFactory.build(
            description=None, completed=True, completed_at=later(1), due=moment, updated_at=later(1)
        ),
    ]

    for task in tasks:
        assert await mine.add(task, at_most=MANY) == shown(task, owner)

    assert [await mine.show(task.id) for task in tasks] == [shown(task, owner) for task in tasks]


async def test_another_owners_task_is_not_found_and_stays_as_it_was(repository_of: RepositoryOf) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(bob := someone("bob"))
    task = TaskFactory.build()
    await theirs.add(task, at_most=MANY)

    for attempt in (
        mine.show(task.id),
        mine.change(task.id, TaskChanges(title="mine now"), at=later(1)),
        mine.toggle(task.id, at=later(1)),
        mine.purge(task.id),
    ):
        with pytest.raises(TaskNotFound):
            await attempt

    assert await theirs.show(task.id) == shown(task, bob)


async def test_two_owners_may_have_tasks_with_the_same_id(repository_of: RepositoryOf) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(bob := someone("bob"))
    task = TaskFactory.build()
    await mine.add(task, at_most=MANY)
    await theirs.add(task, at_most=MANY)

    await mine.purge(task.id)

    assert await theirs.show(task.id) == shown(task, bob)


async def test_a_list_holds_only_the_owners_tasks_newest_first(repository_of: RepositoryOf) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(someone("bob"))
    older, newer = task_made(0), task_made(1)
    for task in (newer, older):
        await mine.add(task, at_most=MANY)
    await theirs.add(task_made(2), at_most=MANY)

    page = await mine.page(10, after=None)

    assert ids_of(page) == [str(newer.id), str(older.id)]
    assert page.next is None


async def test_a_list_continues_after_a_cursor_whose_task_was_deleted(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())
    tasks = [task_made(minutes) for minutes in range(4)]
    for task in tasks:
        await mine.add(task, at_most=MANY)
    await mine.purge(tasks[2].id)

    page = await mine.page(1, after=Bookmark(tasks[2].id))

    assert ids_of(page) == [str(tasks[1].id)]
    assert page.next == Bookmark(tasks[1].id)


@pytest.mark.parametrize(
    "changes",
    [
        TaskChanges(title="new"),
        TaskChanges(description="new"),
        TaskChanges(description=None),
        TaskChanges(due=Due.parse("2026-01-31")),
        TaskChanges(due=Due.parse("2026-01-31T00:00:00Z")),
        TaskChanges(priority=Priority.LOW),
        TaskChanges(tags=("new", "old")),
        TaskChanges(title="new", description=None, due=None, priority=Priority.HIGH, tags=()),
    ],
)
async def test_a_change_writes_the_named_fields_the_time_and_the_version(
    repository_of: RepositoryOf, changes: TaskChanges
) -> None:
    mine = repository_of(owner := someone())
    task = replace(task_made(0), due=Due.parse("2026-01-30"), tags=("old",))
    other = task_made(1)
    await mine.add(task, at_most=MANY)
    await mine.add(other, at_most=MANY)

    changed = await mine.change(task.id, changes, at=later(5))

    expected = replace(task, **changes.given_fields(), updated_at=later(5), version=2)
    assert changed == await mine.show(task.id) == shown(expected, owner)
    assert await mine.show(other.id) == shown(other, owner)


@pytest.mark.parametrize(
    "changes",
    [
        TaskChanges(),
        TaskChanges(
            title="same", description=None, completed=False, due=None, priority=Priority.NONE, tags=()
        ),
    ],
)
async def test_a_change_to_the_same_values_keeps_version_time_and_revision(
    repository_of: RepositoryOf, changes: TaskChanges
) -> None:
    mine = repository_of(someone())
    task = replace(task_made(0), title="same", description=None)
    added = await mine.add(task, at_most=MANY)
    before = await mine.page(1, after=None)

    assert await mine.change(task.id, changes, at=later(5)) == added

    assert await mine.page(1, after=None) == before


async def test_completed_at_is_the_time_of_the_first_completion_and_is_removed_on_reopening(
    repository_of: RepositoryOf,
) -> None:
    mine = repository_of(someone())
    task = task_made(0)
    await mine.add(task, at_most=MANY)

    completed = await mine.change(task.id, TaskChanges(completed=True), at=later(1))
    retitled = await mine.change(task.id, TaskChanges(completed=True, title="new"), at=later(2))
    reopened = await mine.change(task.id, TaskChanges(completed=False), at=later(3))

    moments = [read(seen)["completed_at"] for seen in (completed, retitled, reopened)]
    assert moments == [to_rfc3339(later(1)), to_rfc3339(later(1)), None]


async def test_toggling_twice_restores_the_task_except_for_time_and_version(
    repository_of: RepositoryOf,
) -> None:
    mine = repository_of(owner := someone())
    task = TaskFactory.build(completed=False)
    await mine.add(task, at_most=MANY)

    first = await mine.toggle(task.id, at=later(1))
    second = await mine.toggle(task.id, at=later(2))

    assert first == shown(
        replace(task, completed=True, completed_at=later(1), updated_at=later(1), version=2), owner
    )
    assert second == shown(replace(task, updated_at=later(2), version=3), owner)


async def test_each_write_increments_only_the_revision_of_its_owner(repository_of: RepositoryOf) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(someone("bob"))
    first, task = task_made(0), task_made(2)
    await theirs.add(task_made(1), at_most=MANY)
    assert await mine.revision() == 0
    await mine.add(first, at_most=MANY)

    async def revisions() -> tuple[int, int]:
        pages = [await repository.page(1, after=None) for repository in (mine, theirs)]
        return pages[0].revision, pages[1].revision

    seen = [await revisions()]
    await mine.add(task, at_most=MANY)
    seen.append(await revisions())
    await mine.change(task.id, TaskChanges(title="new"), at=later(1))
    seen.append(await revisions())
    await mine.toggle(task.id, at=later(2))
    seen.append(await revisions())
    await mine.purge(task.id)
    seen.append(await revisions())

    start, other = seen[0]
    assert seen == [(start + number, other) for number in range(5)]


async def test_at_the_limit_of_tasks_no_task_is_added_until_one_is_deleted(
    repository_of: RepositoryOf,
) -> None:
    mine = repository_of(someone())
    tasks = [task_made(minutes) for minutes in range(3)]
    for task in tasks[:2]:
        await mine.add(task, at_most=2)

    with pytest.raises(TooManyTasks) as raised:
        await mine.add(tasks[2], at_most=2)
    await mine.purge(tasks[0].id)
    await mine.add(tasks[2], at_most=2)

    assert raised.value.at_most == 2
    assert ids_of(await mine.page(9, after=None)) == [str(tasks[2].id), str(tasks[1].id)]


async def test_a_permanently_deleted_task_is_not_found(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())
    task = TaskFactory.build()
    await mine.add(task, at_most=MANY)

    await mine.purge(task.id)

    for attempt in (mine.show(task.id), mine.purge(task.id)):
        with pytest.raises(TaskNotFound):
            await attempt


async def test_an_absent_task_is_not_found(repository_of: RepositoryOf) -> None:
    mine = repository_of(someone())

    with pytest.raises(TaskNotFound) as raised:
        await mine.show(absent := a_task_id())

    assert raised.value.task_id == absent
