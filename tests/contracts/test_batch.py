"""What every `TaskRepository` promises of a batch: all or none, and each operation behaves as its own method."""

from typing import Any

import pytest

from app.domain.commands import Change, Operation, Restore, Trash
from app.domain.due import Due
from app.domain.errors import DomainError, NotInTrash, TaskChanged, TaskNotFound, TooManyTasks
from app.domain.task import MissingVersions, Priority, TaskChanges
from app.domain.task_repository import TaskRepository
from tests.contracts.conftest import RepositoryOf
from tests.support.expected_json import read, shown
from tests.support.factories import MANY, TaskFactory, a_task_id, later, someone


@pytest.fixture
def mine(repository_of: RepositoryOf) -> TaskRepository:
    """The tasks of one person."""
    return repository_of(someone())


async def apply(mine: TaskRepository, *operations: Operation, at_most: int = MANY) -> list[Any]:
    """Apply the operations, and return the task that each one returns; None for a deletion."""
    done = await mine.apply(operations, at=later(1), at_most=at_most)
    return [None if one is None else read(one) for one in done]


async def revision_of(mine: TaskRepository) -> int:
    return (await mine.page(1, after=None)).revision


async def everything(mine: TaskRepository) -> Any:
    """Return the tasks outside the trash, and the revision."""
    page = await mine.page(200, after=None)
    return read(page), page.revision


async def test_added_tasks_are_returned_in_the_order_of_the_operations(repository_of: RepositoryOf) -> None:
    owner = someone()
    mine = repository_of(owner)
    tasks = [
        TaskFactory.build(
            title='🌱 "x" \'\\ %_', description="\x01\n日本", tags=("a", "É"), due=Due.parse(due)
        )
        for due in ("2026-01-02", "2026-01-02T03:04:05.6+07:00")
    ]
    tasks += [
        TaskFactory.build(description=None, completed=True, completed_at=later(0), priority=Priority.HIGH)
    ]

    done = await mine.apply(tasks, at=later(1), at_most=MANY)

    assert list(map(read, [one for one in done if one])) == [read(shown(task, owner)) for task in tasks]
    assert [await mine.show(task.id) for task in tasks] == done


async def test_each_operation_of_a_batch_does_the_same_as_its_own_method(repository_of: RepositoryOf) -> None:
    changed, trashed, restored, new = (TaskFactory.build() for _ in range(4))
    owner = someone()
    by_batch, by_methods = repository_of(owner), repository_of(someone())
    changes = TaskChanges(title="changed", completed=True, due=Due.parse("2026-01-09"), tags=("a",))
    for repository in (by_batch, by_methods):
        for task in (changed, trashed, restored):
            await repository.add(task, at_most=MANY)
        await repository.trash(restored.id, at=later(0))

    results = await apply(by_batch, Restore(restored.id), new, Change(changed.id, changes), Trash(trashed.id))

    expected = [
        await by_methods.restore(restored.id, at=later(1)),
        await by_methods.add(new, at_most=MANY),
        await by_methods.change(changed.id, changes, at=later(1)),
    ]
    await by_methods.trash(trashed.id, at=later(1))
    assert results == [*({**read(task), "user_id": owner} for task in expected), None]
    with pytest.raises(TaskNotFound):
        await by_batch.show(trashed.id)
    assert read(await by_batch.restore(trashed.id, at=later(2)))["version"] == 3


@pytest.mark.parametrize(
    "changes",
    [
        TaskChanges(title="another"),
        TaskChanges(description=None),
        TaskChanges(completed=True),
        TaskChanges(completed=False),
        TaskChanges(due=None),
        TaskChanges(due=Due.parse("2026-01-02T03:04:05Z")),
        TaskChanges(priority=Priority.LOW),
        TaskChanges(tags=()),
        TaskChanges(tags=("É", "a")),
        TaskChanges(),
    ],
    ids=str,
)
async def test_a_change_of_one_field_keeps_the_others(
    repository_of: RepositoryOf, changes: TaskChanges
) -> None:
    task = TaskFactory.build(
        completed=True, completed_at=later(0), due=Due.parse("2026-01-01"), tags=("É", "a")
    )
    by_batch, by_method = repository_of(someone()), repository_of(other_owner := someone())
    for repository in (by_batch, by_method):
        await repository.add(task, at_most=MANY)

    (done,) = await apply(by_batch, Change(task.id, changes))

    assert {**done, "user_id": other_owner} == read(await by_method.change(task.id, changes, at=later(1)))


async def test_changes_of_different_tasks_do_not_affect_each_other(mine: TaskRepository) -> None:
    one, two = TaskFactory.build(), TaskFactory.build()
    for task in (one, two):
        await mine.add(task, at_most=MANY)

    first, second = await apply(
        mine, Change(one.id, TaskChanges(title="x")), Change(two.id, TaskChanges(description=None))
    )

    assert (first["title"], first["description"]) == ("x", one.description)
    assert (second["title"], second["description"]) == (two.title, None)


async def test_a_write_without_change_keeps_version_and_revision(mine: TaskRepository) -> None:
    task = TaskFactory.build()
    added = await mine.add(task, at_most=MANY)
    before = await everything(mine)

    (done,) = await mine.apply(
        [Change(task.id, TaskChanges(title=task.title), frozenset({1}))], at=later(1), at_most=MANY
    )

    assert done == added
    assert await everything(mine) == before


async def test_a_batch_increments_the_revision_once(mine: TaskRepository) -> None:
    tasks = [TaskFactory.build() for _ in range(3)]
    await mine.add(TaskFactory.build(), at_most=MANY)
    before = await revision_of(mine)

    await apply(mine, *tasks)
    assert await revision_of(mine) == before + 1
    await apply(mine, *(Trash(task.id) for task in tasks), TaskFactory.build())
    assert await revision_of(mine) == before + 2


async def refusal_of(mine: TaskRepository, *operations: Operation, at_most: int = MANY) -> DomainError:
    """Check that the whole batch is refused and writes nothing, and return the error."""
    before = await everything(mine)
    with pytest.raises(DomainError) as raised:
        await apply(mine, *operations, at_most=at_most)
    assert await everything(mine) == before
    return raised.value


async def test_an_absent_or_trashed_task_or_one_of_another_person_is_not_found_and_nothing_is_written(
    repository_of: RepositoryOf,
) -> None:
    mine, tasks_of_bob = repository_of(someone("ann")), repository_of(someone("bob"))
    task, gone, bobs = (TaskFactory.build() for _ in range(3))
    await mine.add(task, at_most=MANY)
    await mine.add(gone, at_most=MANY)
    await mine.trash(gone.id, at=later(0))
    await tasks_of_bob.add(bobs, at_most=MANY)

    for absent in (a_task_id(), gone.id, bobs.id):
        for operation in (Change(absent, TaskChanges(title="x")), Trash(absent)):
            refusal = await refusal_of(
                mine, TaskFactory.build(), Change(task.id, TaskChanges(title="x")), operation
            )
            assert (type(refusal), refusal.operation) == (TaskNotFound, 2)
    for absent in (a_task_id(), bobs.id):
        assert isinstance(await refusal_of(mine, TaskFactory.build(), Restore(absent)), TaskNotFound)
    assert read(await tasks_of_bob.show(bobs.id))["title"] == bobs.title


@pytest.mark.parametrize("versions", [frozenset({2}), frozenset[int](), MissingVersions()], ids=str)
async def test_one_task_of_another_version_refuses_the_whole_batch(
    mine: TaskRepository, versions: frozenset[int]
) -> None:
    task, other, gone = (TaskFactory.build() for _ in range(3))
    for one in (task, other, gone):
        await mine.add(one, at_most=MANY)
    await mine.trash(gone.id, at=later(0))

    for operation in (
        Change(task.id, TaskChanges(title="x"), versions),
        Change(task.id, TaskChanges(), versions),
        Trash(task.id, versions),
        Restore(gone.id, versions - {2}),
    ):
        refusal = await refusal_of(
            mine, Change(other.id, TaskChanges(title="x"), frozenset({1, 9})), operation
        )
        assert isinstance(refusal, TaskChanged)
        assert refusal.operation == 1
        assert refusal.version == (2 if isinstance(operation, Restore) else 1)


async def test_a_batch_with_the_current_versions_is_done(mine: TaskRepository) -> None:
    task, gone = TaskFactory.build(), TaskFactory.build()
    await mine.add(task, at_most=MANY)
    await mine.add(gone, at_most=MANY)
    await mine.trash(gone.id, at=later(0))

    changed, restored = await apply(
        mine, Change(task.id, TaskChanges(title="x"), frozenset({1, 5})), Restore(gone.id, frozenset({2}))
    )

    assert (changed["version"], restored["version"]) == (2, 3)


async def test_a_task_that_is_not_in_the_trash_cannot_be_restored(mine: TaskRepository) -> None:
    task = TaskFactory.build()
    await mine.add(task, at_most=MANY)

    refusal = await refusal_of(mine, TaskFactory.build(), Restore(task.id))

    assert (type(refusal), refusal.operation) == (NotInTrash, 1)


async def test_the_first_absent_task_is_reported_before_another_version_and_too_many_tasks(
    mine: TaskRepository,
) -> None:
    task = TaskFactory.build()
    await mine.add(task, at_most=MANY)

    refusal = await refusal_of(
        mine,
        Trash(task.id, frozenset({7})),
        Restore(a_task_id()),
        Change(a_task_id(), TaskChanges()),
        *(TaskFactory.build() for _ in range(3)),
        at_most=2,
    )

    assert (type(refusal), refusal.operation) == (TaskNotFound, 1)


async def test_a_batch_may_fill_the_list_but_not_exceed_its_limit(mine: TaskRepository) -> None:
    await apply(mine, TaskFactory.build(), TaskFactory.build(), at_most=3)

    refusal = await refusal_of(mine, TaskFactory.build(), TaskFactory.build(), at_most=3)
    await apply(mine, TaskFactory.build(), at_most=3)

    assert isinstance(refusal, TooManyTasks)
    with pytest.raises(TooManyTasks):
        await mine.add(TaskFactory.build(), at_most=3)


async def test_given_a_limit_that_was_lowered_then_a_batch_that_creates_nothing_still_runs(
    mine: TaskRepository,
) -> None:
    one, other = TaskFactory.build(), TaskFactory.build()
    await apply(mine, one, other, at_most=2)

    await apply(mine, Change(one.id, TaskChanges(title="less")), Trash(other.id), at_most=1)
    refusal = await refusal_of(
        mine, Change(one.id, TaskChanges(title="more")), TaskFactory.build(), at_most=1
    )

    assert isinstance(refusal, TooManyTasks)
