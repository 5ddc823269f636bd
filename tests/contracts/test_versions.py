"""Versions and the trash, as every `TaskRepository` keeps them."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from app.domain.errors import NotInTrash, TaskChanged, TaskNotFound
from app.domain.task import TaskChanges, TaskId, Versions
from app.domain.task_repository import TaskRepository
from tests.contracts.conftest import RepositoryOf
from tests.support.expected_json import read
from tests.support.factories import MANY, a_task_id, later, someone, task_made

# The last argument: the versions that the write expects.
Write = Callable[[TaskRepository, TaskId, Versions | None], Awaitable[object]]
NOTHING = TaskChanges()
WRITES: Mapping[str, Write] = {
    "change": lambda mine, task_id, seen: mine.change(
        task_id, TaskChanges(title="new"), at=later(9), if_match=seen
    ),
    "change nothing": lambda mine, task_id, seen: mine.change(task_id, NOTHING, at=later(9), if_match=seen),
    "toggle": lambda mine, task_id, seen: mine.toggle(task_id, at=later(9), if_match=seen),
    "trash": lambda mine, task_id, seen: mine.trash(task_id, at=later(9), if_match=seen),
    "purge": lambda mine, task_id, seen: mine.purge(task_id, if_match=seen),
    "restore": lambda mine, task_id, seen: mine.restore(task_id, at=later(9), if_match=seen),
}


async def prepare_task(mine: TaskRepository, write: str) -> TaskId:
    """Add a task, write it once, so that it has version 2, and return its id. For a restore it is in the trash."""
    task = task_made(0)
    await mine.add(task, at_most=MANY)
    if write == "restore":
        await mine.trash(task.id, at=later(1))
    else:
        await mine.toggle(task.id, at=later(1))
    return task.id


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_that_expects_another_version_writes_nothing(
    repository_of: RepositoryOf, write: str
) -> None:
    mine = repository_of(someone())
    task_id = await prepare_task(mine, write)
    before = await mine.page(9, after=None)

    with pytest.raises(TaskChanged) as raised:
        await WRITES[write](mine, task_id, frozenset({1, 3}))

    assert (raised.value.version, raised.value.expected) == (2, frozenset({1, 3}))
    assert (await mine.page(9, after=None)).json == before.json


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("seen", [None, frozenset({2}), frozenset({1, 2})])
async def test_a_write_that_expects_the_current_version_or_any_is_done(
    repository_of: RepositoryOf, write: str, seen: Versions | None
) -> None:
    mine = repository_of(someone())
    task_id = await prepare_task(mine, write)

    await WRITES[write](mine, task_id, seen)

    if write in ("trash", "purge"):
        with pytest.raises(TaskNotFound):
            await mine.show(task_id)
    else:
        assert (await mine.show(task_id)).version == (2 if write == "change nothing" else 3)


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_that_expects_a_version_of_an_absent_task_raises_task_not_found(
    repository_of: RepositoryOf, write: str
) -> None:
    mine = repository_of(someone())

    with pytest.raises(TaskNotFound):
        await WRITES[write](mine, a_task_id(), frozenset({1}))


async def test_a_restored_task_is_unchanged_except_for_time_and_version(
    repository_of: RepositoryOf,
) -> None:
    mine = repository_of(someone())
    task_id = await prepare_task(mine, "change")
    before = read(await mine.show(task_id))

    await mine.trash(task_id, at=later(2))
    restored = read(await mine.restore(task_id, at=later(3)))

    assert restored == {**before, "version": 4, "updated_at": restored["updated_at"]}
    with pytest.raises(NotInTrash):
        await mine.restore(task_id, at=later(4))
