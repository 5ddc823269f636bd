"""What the domain needs of storage."""

from datetime import datetime
from typing import Protocol

from app.domain.page import Bookmark, Page
from app.domain.task import Shown, Task, TaskChanges, TaskId


class TaskRepository(Protocol):
    """The tasks of exactly one owner.

    The owner is fixed when an implementation is constructed; no method takes one, so no caller can
    ask for another's. Each method is one atomic act, and each that changes something counts the owner's
    revision up. Every implementation passes `tests/contracts/test_task_repository.py`, and any method may
    raise `DatabaseUnavailable`.
    """

    async def add(self, task: Task, *, at_most: int) -> Shown:
        """Keep a new task.

        Raises:
            TooManyTasks: the owner has `at_most` tasks already.

        """
        ...

    async def show(self, task_id: TaskId) -> Shown:
        """Return the task.

        Raises:
            TaskNotFound: the owner has none by this id.

        """
        ...

    async def page(self, limit: int, *, after: Bookmark | None) -> Page:
        """Return at most `limit` tasks, newest first, beginning with the first one older than `after`."""
        ...

    async def change(self, task_id: TaskId, changes: TaskChanges, *, at: datetime) -> Shown:
        """Apply the changes, and return the task.

        Where they change anything, `updated_at` becomes `at` and the version grows; `completed_at` becomes
        `at` when the task is completed, and None when it is opened. Where they change nothing, nothing does.

        Raises:
            TaskNotFound: the owner has none by this id.

        """
        ...

    async def toggle(self, task_id: TaskId, *, at: datetime) -> Shown:
        """Turn `completed` into its opposite, as `change` would, and return the task.

        Parallel toggles each count: none is lost.

        Raises:
            TaskNotFound: the owner has none by this id.

        """
        ...

    async def remove(self, task_id: TaskId) -> None:
        """Forget the task.

        Raises:
            TaskNotFound: the owner has none by this id.

        """
        ...
