"""A person's own order, as every `TaskRepository` keeps it."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from app.domain.commands import Move
from app.domain.errors import InvalidTask, TaskChanged, TaskNotFound
from app.domain.position import POSITION_MAX, Position
from app.domain.task import Task
from app.domain.task_list import Order, Selection
from app.domain.task_repository import TaskRepository
from tests.contracts.conftest import RepositoryOf
from tests.support.expected_json import read
from tests.support.factories import MANY, a_task_id, later, someone, task_made

OWN_ORDER = Selection(order=Order.POSITION, descending=False)


async def add_at(mine: TaskRepository, positions: Iterable[str]) -> list[Task]:
    """Add a task at each of these positions."""
    tasks = [replace(task_made(n), position=Position(p)) for n, p in enumerate(positions)]
    for task in tasks:
        await mine.add(task, at_most=MANY)
    return tasks


async def order_of(mine: TaskRepository, tasks: list[Task]) -> list[int]:
    """Return the indexes of these tasks, in the order of the list."""
    ids = [str(task.id) for task in tasks]
    return [ids.index(task["id"]) for task in read(await mine.page(200, after=None, selection=OWN_ORDER))]


@pytest.mark.parametrize(
    ("moved", "side", "target", "order"),
    [
        (0, "before", 3, [1, 2, 0, 3]),
        (0, "after", 3, [1, 2, 3, 0]),
        (3, "before", 0, [3, 0, 1, 2]),
        (3, "after", 0, [0, 3, 1, 2]),
        (1, "before", 2, [0, 1, 2, 3]),
        (1, "after", 0, [0, 1, 2, 3]),
    ],
)
async def test_a_task_is_moved_right_next_to_another_and_no_other_task_is_written(
    repository_of: RepositoryOf, moved: int, side: str, target: int, order: list[int]
) -> None:
    mine = repository_of(someone())
    tasks = await add_at(mine, "ABCD")
    (trashed,) = await add_at(mine, "B")
    await mine.trash(trashed.id, at=later(1))
    before = [await mine.show(task.id) for task in tasks]
    revision = await mine.revision()

    seen = await mine.move(Move(tasks[moved].id, tasks[target].id, before=side == "before"), at=later(2))

    stayed = order == [0, 1, 2, 3]
    assert await order_of(mine, tasks) == order
    assert seen.version == (1 if stayed else 2)
    assert await mine.revision() == revision + (not stayed)
    before[moved] = seen
    assert [await mine.show(task.id) for task in tasks] == before


@pytest.mark.parametrize(("side", "order"), [("before", [0, 4, 1, 3]), ("after", [0, 1, 4, 3])])
async def test_given_no_room_between_two_tasks_then_a_move_puts_a_task_there_and_leaves_the_trash_unchanged(
    repository_of: RepositoryOf, side: str, order: list[int]
) -> None:
    mine = repository_of(someone())
    tasks = await add_at(mine, "VVVVW")
    await mine.trash(tasks[2].id, at=later(1))
    revision = await mine.revision()
    (trashed,) = read(await mine.page(9, after=None, selection=Selection(trashed=True)))

    seen = await mine.move(Move(tasks[4].id, tasks[1].id, before=side == "before"), at=later(9))

    assert await order_of(mine, tasks) == order
    assert (seen.version, await mine.show(tasks[4].id), await mine.revision()) == (2, seen, revision + 1)
    assert read(await mine.page(9, after=None, selection=Selection(trashed=True))) == [trashed]
    await mine.restore(tasks[2].id, at=later(10))
    assert [number for number in await order_of(mine, tasks) if number != 2] == order


@pytest.mark.parametrize("side", ["before", "after"])
async def test_given_no_room_then_a_move_writes_its_task_its_target_and_64_tasks_on_each_side_of_the_target(
    repository_of: RepositoryOf, side: str
) -> None:
    mine = repository_of(someone())
    tasks = await add_at(
        mine, [*(f"A{n}V" for n in range(10, 80)), "V", "V", *(f"W{n}V" for n in range(10, 80))]
    )
    revision = await mine.revision()
    # The new place is between tasks 70 and 71, which have the same position.
    target = 71 if side == "before" else 70

    await mine.move(Move(tasks[0].id, tasks[target].id, before=side == "before"), at=later(1))

    versions = [(await mine.show(task.id)).version for task in tasks]
    first, last = target - 64, target + 64
    assert versions == [2, *(2 if first <= n <= last else 1 for n in range(1, len(tasks)))]
    assert await mine.revision() == revision + 1
    assert await order_of(mine, tasks) == [*range(1, 71), 0, *range(71, len(tasks))]


async def test_if_the_nearest_tasks_have_no_room_either_more_tasks_get_new_positions(
    repository_of: RepositoryOf,
) -> None:
    mine = repository_of(someone())
    tasks = await add_at(mine, "V" * 140)

    await mine.move(Move(tasks[139].id, tasks[70].id, before=True), at=later(1))

    assert await order_of(mine, tasks) == [*range(70), 139, *range(70, 139)]
    assert [(await mine.show(task.id)).version for task in tasks] == [2] * len(tasks)


async def test_a_task_that_is_already_in_its_place_stays_even_if_there_is_no_room(
    repository_of: RepositoryOf,
) -> None:
    mine = repository_of(someone())
    long = "V" * (POSITION_MAX - 1)
    low, task, high = await add_at(mine, (f"{long}1", f"{long}2", f"{long}3"))
    before = await mine.page(9, after=None)

    await mine.move(Move(task.id, high.id, before=True), at=later(1))
    await mine.move(Move(task.id, low.id, before=False), at=later(1))

    assert await mine.page(9, after=None) == before


@pytest.mark.parametrize("positions", ["AB", "AAA"])
async def test_a_refused_move_reports_a_missing_task_first_then_a_stale_version_then_a_wrong_target(
    repository_of: RepositoryOf, positions: str
) -> None:
    mine, theirs = repository_of(someone("ann")), repository_of(someone("bob"))
    task, other, *_ = await add_at(mine, positions)
    (bobs,) = await add_at(theirs, "A")
    before = await mine.page(9, after=None)

    for move, refusal in (
        (Move(bobs.id, other.id, before=True, if_match=frozenset({7})), TaskNotFound),
        (Move(task.id, other.id, before=True, if_match=frozenset({7})), TaskChanged),
        (Move(task.id, a_task_id(), before=True, if_match=frozenset({7})), TaskChanged),
        (Move(task.id, a_task_id(), before=True, if_match=frozenset({1})), InvalidTask),
        (Move(task.id, bobs.id, before=True), InvalidTask),
        (Move(task.id, task.id, before=True), InvalidTask),
    ):
        with pytest.raises(refusal):
            await mine.move(move, at=later(1))

    assert await mine.page(9, after=None) == before
