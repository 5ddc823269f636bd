"""What the domain needs of storage."""

from datetime import datetime
from typing import Protocol

from app.domain.page import Page, Position
from app.domain.task import Shown, Task, TaskChanges, TaskId


class TaskRepository(Protocol):
    """The tasks of exactly one owner.

    The owner is fixed when an implementation is constructed; no method takes one, so no caller can
    ask for another's. Each method is one atomic act. Every implementation passes
    `tests/contracts/test_task_repository.py`, and any method may raise `DatabaseUnavailable`.
    """

    async def add(self, task: Task) -> None:
        """Keep a new task."""
        ...

    async def get(self, task_id: TaskId) -> Task:
        """Return the task.

        Raises:
            TaskNotFound: the owner has none by this id.

        """
        ...

    async def show(self, task_id: TaskId) -> Shown:
        """Return the task as people see it.

        Raises:
            TaskNotFound: the owner has none by this id.

        """
        ...

    async def page(self, limit: int, *, after: Position | None) -> Page:
        """Return at most `limit` tasks, newest first, beginning with the first one older than `after`."""
        ...

    async def change(self, task_id: TaskId, changes: TaskChanges, *, at: datetime) -> Task:
        """Apply the changes, of which there is at least one, set `updated_at`, and return the task.

        Raises:
            TaskNotFound: the owner has none by this id.

        """
        ...

    async def toggle(self, task_id: TaskId, *, at: datetime) -> Task:
        """Turn `completed` into its opposite, set `updated_at`, and return the task.

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
