"""The storage that the domain needs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.domain.changes import ChangesPage, ChangesToken
from app.domain.commands import Move, Operation
from app.domain.summary import Day, Summary
from app.domain.task import Shown, Task, TaskChanges, TaskId, Versions
from app.domain.task_list import NEWEST, Bookmark, Page, Selection


class TaskRepository(Protocol):
    """The tasks of exactly one owner.

    The constructor fixes the owner and no method takes one, so no caller can reach another owner's tasks.
    Each method is atomic. A method that changes a task increments its version and the owner's revision, and
    sets `updated_at`. Every implementation passes `tests/contracts/test_task_repository.py`.

    Any method may raise a kind of `Unavailable` or `RetryLater`. A method that takes a task's id raises
    `TaskNotFound` if the owner has no such task, or (except `restore` and `purge`) if it is in the trash.
    A method that takes `if_match` raises `TaskChanged` if the task has another version. The write itself
    decides that, so exactly one of two racing writers with the same version wins.
    """

    async def add(self, task: Task, *, at_most: int) -> Shown:
        """Add a task; raise TooManyTasks if the owner already has `at_most` tasks, including the trash."""

    async def show(self, task_id: TaskId) -> Shown:
        """Return the task."""

    async def page(self, limit: int, *, after: Bookmark | None, selection: Selection = NEWEST) -> Page:
        """Return the first selected tasks after a bookmark, at most `limit`.

        If they would take more than `PAGE_BYTES`, there are fewer. Tasks and revision are of one snapshot.
        """

    async def revision(self) -> int:
        """Return the owner's revision; 0 if the owner has written nothing yet."""

    async def changes(self, since: ChangesToken | None, *, limit: int) -> ChangesPage:
        """Return at most `limit` changes from a token on; None: all tasks, those in the trash too.

        If they would take more than `PAGE_BYTES`, there are fewer. Whatever is committed later comes after
        `next`. A task that changed several times comes once, as it is now. Revision, floor and changes are of
        one snapshot.

        Raises:
            ChangesGone: changes after the token are missing, or the token is of a later revision.
        """

    async def summary(self, day: Day) -> Summary:
        """Count the tasks that are not in the trash."""

    async def change(
        self, task_id: TaskId, changes: TaskChanges, *, at: datetime, if_match: Versions | None = None
    ) -> Shown:
        """Apply the changes, and return the task.

        `completed_at` becomes `at` when the task is completed, and None when it is reopened. If the changes
        make no difference, version and `updated_at` stay as they are.
        """

    async def toggle(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        """Toggle `completed`, as `change` would, and return the task. No parallel toggle is lost."""

    async def trash(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> None:
        """Move the task to the trash."""

    async def restore(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        """Restore the task, and return it; raise NotInTrash if it is not in the trash."""

    async def purge(self, task_id: TaskId, *, if_match: Versions | None = None) -> None:
        """Delete the task permanently, whether in the trash or not."""

    async def move(self, move: Move, *, at: datetime) -> Shown:
        """Move a task right before or right after another one in the manual order, and return it.

        Only if there is no room between two positions, the tasks around them are written too: they get new
        positions in the same order. Tasks in the trash keep theirs. Racing moves run one after the other.

        Raises:
            InvalidTask: the other task is not in the owner's list, or is the same.
        """

    async def apply(
        self, operations: Sequence[Operation], *, at: datetime, at_most: int
    ) -> Sequence[Shown | None]:
        """Run all operations in one transaction, and increment the revision once.

        Return the tasks in the same order; None: moved to the trash. No two operations may have the same
        task. An error names its operation (`app.domain.commands.choose_refusal`).

        Raises:
            NotInTrash: a task to restore is not in the trash.
            TooManyTasks: the owner would have more than `at_most` tasks.
        """
