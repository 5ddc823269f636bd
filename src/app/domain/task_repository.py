"""What the domain needs of storage."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.domain.commands import Move, Operation
from app.domain.summary import Day, Summary
from app.domain.task import Shown, Task, TaskChanges, TaskId, Versions
from app.domain.task_list import NEWEST, Bookmark, Page, Selection


class TaskRepository(Protocol):
    """The tasks of exactly one owner.

    The owner is fixed when an implementation is constructed; no method takes one, so no caller can
    ask for another's. Each method is one atomic act, and each that changes something counts the owner's
    revision and the task's version up and sets `updated_at`. Every implementation passes
    `tests/contracts/test_task_repository.py`.

    Any method may raise `DatabaseUnavailable`. Whatever names a task raises `TaskNotFound` where the owner
    has none by this id, and, but for `restore` and `purge`, where it is in the trash. Whatever takes
    `if_match` raises `TaskChanged` where the task has another version; whether it has is decided in the
    write itself, so that of two racing writers with one version one wins.
    """

    async def add(self, task: Task, *, at_most: int) -> Shown:
        """Keep a new task.

        Raises:
            TooManyTasks: the owner has `at_most` tasks already, those in the trash included.

        """
        ...

    async def show(self, task_id: TaskId) -> Shown:
        """Return the task."""
        ...

    async def page(self, limit: int, *, after: Bookmark | None, selection: Selection = NEWEST) -> Page:
        """Return at most `limit` of the selected tasks, beginning with the first that comes after `after`.

        There are fewer, and a bookmark to go on from, where all of them would take more than `PAGE_BYTES`.
        The revision belongs to the tasks that are returned.
        """
        ...

    async def revision(self) -> int:
        """Return the owner's revision; 0 if they never wrote anything."""
        ...

    async def summary(self, day: Day) -> Summary:
        """Count the tasks that are not in the trash."""
        ...

    async def change(
        self, task_id: TaskId, changes: TaskChanges, *, at: datetime, if_match: Versions | None = None
    ) -> Shown:
        """Apply the changes, and return the task.

        `completed_at` becomes `at` when the task is completed, and None when it is opened. Where the
        changes change nothing, nothing changes, version and `updated_at` included.
        """
        ...

    async def toggle(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        """Turn `completed` into its opposite, as `change` would, and return the task.

        Parallel toggles each count: none is lost.
        """
        ...

    async def trash(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> None:
        """Move the task to the trash."""
        ...

    async def restore(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        """Take the task out of the trash as it was, and return it.

        Raises:
            NotInTrash: it is not there.

        """
        ...

    async def purge(self, task_id: TaskId, *, if_match: Versions | None = None) -> None:
        """Forget the task, in the trash or not."""
        ...

    async def move(self, move: Move, *, at: datetime) -> Shown:
        """Put a task right before or right after another in the owner's own order, and return it.

        No other task is written, unless there is no room: then all get new positions in the order that they
        have, those in the trash too. Racing moves are done one after the other.

        Raises:
            InvalidTask: the other task is not in the owner's list, or is the same.

        """
        ...

    async def apply(
        self, operations: Sequence[Operation], *, at: datetime, at_most: int
    ) -> Sequence[Shown | None]:
        """Do all of these or none, each as its own method would, and count the revision up once.

        What each made of its task is returned in the same order; None: it is in the trash now. No two may
        name the same task. A refusal names its operation (`app.domain.commands.first_of`).

        Raises:
            NotInTrash: one to be restored is not there.
            TooManyTasks: the owner would have more than `at_most` tasks.

        """
        ...
