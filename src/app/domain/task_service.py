"""What people can do with their tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.domain.page import PAGE_DEFAULT, Page, Position
from app.domain.task import NewTask, Shown, Task, TaskChanges, TaskId, new_task_id
from app.domain.task_repository import TaskRepository

Clock = Callable[[], datetime]
"""Returns the present moment, aware and in UTC."""


@dataclass(frozen=True, slots=True)
class TaskService:
    """One person's use cases. Whatever names a task raises `TaskNotFound` when they have none by that id."""

    tasks: TaskRepository
    now: Clock

    async def create(self, new: NewTask) -> Task:
        """Add a task to the list."""
        now = self.now()
        task = Task(
            id=new_task_id(now),
            title=new.title,
            description=new.description,
            completed=new.completed,
            created_at=now,
            updated_at=now,
        )
        await self.tasks.add(task)
        return task

    async def show(self, task_id: TaskId) -> Shown:
        """Return one task."""
        return await self.tasks.show(task_id)

    async def list(self, *, limit: int = PAGE_DEFAULT, after: Position | None = None) -> Page:
        """Return a page of at most `limit` tasks, newest first."""
        return await self.tasks.page(limit, after=after)

    async def change(self, task_id: TaskId, changes: TaskChanges) -> Task:
        """Change the named fields of one task. No changes: the task as it stands, `updated_at` too."""
        if not changes.named():
            return await self.tasks.get(task_id)
        return await self.tasks.change(task_id, changes, at=self.now())

    async def complete(self, task_id: TaskId, completed: bool | None = None) -> Task:  # noqa: FBT001 - a value
        """Complete or reopen one task; None: whichever it is not."""
        if completed is None:
            return await self.tasks.toggle(task_id, at=self.now())
        return await self.change(task_id, TaskChanges(completed=completed))

    async def remove(self, task_id: TaskId) -> None:
        """Delete a task for good."""
        await self.tasks.remove(task_id)
