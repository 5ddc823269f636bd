"""What every `TaskRepository` promises of changes, tested in memory and on PostgreSQL."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from app.domain.changes import ChangesToken
from app.domain.commands import Change, Move, Restore, Trash
from app.domain.errors import ChangesGone
from app.domain.position import Position
from app.domain.task import Task, TaskChanges
from app.domain.task_list import Order, Selection
from app.domain.task_repository import TaskRepository
from tests.contracts.conftest import RepositoryOf
from tests.support.expected_json import read
from tests.support.factories import MANY, TaskFactory, later, someone, task_made
from tests.support.follower import Follower, catch_up, read_page


@pytest.fixture
def mine(repository_of: RepositoryOf) -> TaskRepository:
    """The tasks of one person."""
    return repository_of(someone())


async def add(mine: TaskRepository, count: int) -> list[Task]:
    """Add tasks, each in a write of its own, and each after the one before in the manual order."""
    tasks = [replace(task_made(number), position=Position("BCDE"[number])) for number in range(count)]
    for task in tasks:
        await mine.add(task, at_most=MANY)
    return tasks


async def follow(mine: TaskRepository, follower: Follower, *, limit: int = 200) -> list[str]:
    """Let a client read all new changes. Return the ids of their tasks."""
    before = len(follower.received)
    await catch_up(partial(read_page, mine, follower, limit=limit))
    return follower.received[before:]


async def all_tasks(mine: TaskRepository) -> dict[str, object]:
    """Return all tasks, those in the trash too."""
    pages = [
        await mine.page(MANY, after=None, selection=Selection(trashed=trashed)) for trashed in (False, True)
    ]
    return {task["id"]: task for page in pages for task in read(page)}


def ids_of(*tasks: Task) -> list[str]:
    return [str(task.id) for task in tasks]


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
async def test_a_client_without_a_token_reads_all_tasks_and_then_what_changed(
    mine: TaskRepository, limit: int
) -> None:
    first, second, third = await add(mine, 3)
    await mine.trash(second.id, at=later(5))
    follower = Follower()

    whole = await follow(mine, follower, limit=limit)
    await mine.toggle(first.id, at=later(6))
    await mine.purge(second.id)
    changes = await follow(mine, follower, limit=limit)

    assert whole == ids_of(first, third, second)
    assert changes == ids_of(first, second)
    assert follower.copy == await all_tasks(mine)
    assert await follow(mine, follower) == []


async def _move_without_room(mine: TaskRepository, first: Task, *_: Task) -> object:
    """Move a task between two equal positions, so that its neighbours get new positions."""
    crowded = [TaskFactory.build(position=Position(p)) for p in "AAB"]
    for task in crowded:
        await mine.add(task, at_most=MANY)
    last = sorted(crowded, key=lambda task: (task.position, task.id))[1].id
    return await mine.move(Move(first.id, last, before=True), at=later(8))


# Each function gets three tasks: the first two are in the list, the third is in the trash.
WRITES: dict[str, Callable[[TaskRepository, Task, Task, Task], Awaitable[object]]] = {
    "add": lambda mine, *_: mine.add(TaskFactory.build(), at_most=MANY),
    "change": lambda mine, first, *_: mine.change(first.id, TaskChanges(title="x"), at=later(8)),
    "toggle": lambda mine, first, *_: mine.toggle(first.id, at=later(8)),
    "trash": lambda mine, first, *_: mine.trash(first.id, at=later(8)),
    "restore": lambda mine, _first, _second, trashed: mine.restore(trashed.id, at=later(8)),
    "purge": lambda mine, _first, _second, trashed: mine.purge(trashed.id),
    "move": lambda mine, first, second, _: mine.move(Move(first.id, second.id, before=False), at=later(8)),
    "move without room": _move_without_room,
    "batch": lambda mine, first, _, trashed: mine.apply(
        [TaskFactory.build(), Change(first.id, TaskChanges(title="y")), Restore(trashed.id)],
        at=later(8),
        at_most=MANY,
    ),
    "batch that trashes": lambda mine, first, *_: mine.apply([Trash(first.id)], at=later(8), at_most=MANY),
}


@pytest.mark.parametrize("write", WRITES)
async def test_an_up_to_date_client_gets_each_write(mine: TaskRepository, write: str) -> None:
    first, second, trashed = await add(mine, 3)
    await mine.trash(trashed.id, at=later(5))
    follower = Follower()
    await follow(mine, follower)

    await WRITES[write](mine, first, second, trashed)

    assert await follow(mine, follower) != []
    assert follower.copy == await all_tasks(mine)


async def test_a_write_that_changes_nothing_is_not_in_the_changes(mine: TaskRepository) -> None:
    (task,) = await add(mine, 1)
    follower = Follower()
    await follow(mine, follower)

    await mine.change(task.id, TaskChanges(title=task.title), at=later(8))
    await mine.apply([Change(task.id, TaskChanges(completed=False))], at=later(8), at_most=MANY)

    assert await follow(mine, follower) == []


async def test_a_page_may_end_within_a_batch(mine: TaskRepository) -> None:
    tasks = [task_made(minutes) for minutes in range(5)]
    await mine.apply(tasks, at=later(8), at_most=MANY)
    await mine.apply(
        [Trash(tasks[0].id), Change(tasks[3].id, TaskChanges(completed=True))], at=later(9), at_most=MANY
    )

    assert await follow(mine, Follower(), limit=1) == ids_of(tasks[1], tasks[2], tasks[4], tasks[0], tasks[3])


async def test_a_full_read_has_the_permanent_deletions_after_its_beginning_and_no_earlier_ones(
    mine: TaskRepository,
) -> None:
    deleted_before, first, second, third = await add(mine, 4)
    await mine.purge(deleted_before.id)
    follower = Follower()
    await read_page(mine, follower, limit=1)

    await mine.purge(first.id)
    await mine.purge(third.id)
    rest = await follow(mine, follower, limit=1)

    assert rest == ids_of(second, first, third)
    assert follower.copy == await all_tasks(mine)


async def test_a_task_that_changes_during_a_full_read_comes_again_at_its_end(mine: TaskRepository) -> None:
    first, second, _ = await add(mine, 3)
    follower = Follower()
    await read_page(mine, follower, limit=1)

    await mine.toggle(first.id, at=later(5))
    await mine.toggle(second.id, at=later(6))
    rest = await follow(mine, follower, limit=1)

    assert rest[1:] == ids_of(first, second)
    assert follower.copy == await all_tasks(mine)


async def test_the_changes_have_no_tasks_of_other_people(repository_of: RepositoryOf) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(someone("bob"))
    (task,) = await add(theirs, 1)
    await theirs.purge(task.id)
    await add(theirs, 1)

    assert await follow(mine, Follower()) == []


async def test_a_token_above_the_revision_of_the_owner_is_refused(mine: TaskRepository) -> None:
    await add(mine, 2)
    revision = await mine.revision()

    for token in (ChangesToken.after_revision(revision + 1), ChangesToken(1, base=revision + 1)):
        with pytest.raises(ChangesGone):
            await mine.changes(token, limit=1)
    assert not (await mine.changes(ChangesToken.after_revision(revision), limit=1)).more


async def test_a_client_that_saw_an_empty_list_reads_the_first_tasks(mine: TaskRepository) -> None:
    follower = Follower()
    await follow(mine, follower)

    tasks = await add(mine, 2)

    assert await follow(mine, follower) == ids_of(*tasks)


async def test_the_order_updated_is_the_order_of_the_changes(mine: TaskRepository) -> None:
    first, second, third = await add(mine, 3)
    await mine.toggle(first.id, at=later(-60))  # by a clock that is an hour behind
    by_change = Selection(order=Order.UPDATED, descending=False)

    page = await mine.page(MANY, after=None, selection=by_change)

    assert [task["id"] for task in read(page)] == ids_of(second, third, first)
    assert await follow(mine, Follower()) == ids_of(second, third, first)
