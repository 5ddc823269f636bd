"""What people can do with their tasks."""

from dataclasses import dataclass

from app.domain.moments import Clock
from app.domain.page import PAGE_DEFAULT, Bookmark, Page
from app.domain.position import position_of_new
from app.domain.task import FIRST_VERSION, NewTask, Shown, Task, TaskChanges, TaskId, new_task_id
from app.domain.task_repository import TaskRepository


@dataclass(frozen=True, slots=True)
class TaskService:
    """One person's use cases. Whatever names a task raises `TaskNotFound` when they have none by that id."""

    tasks: TaskRepository
    now: Clock
    max_tasks: int  # that one person may have

    async def create(self, new: NewTask) -> tuple[TaskId, Shown]:
        """Add a task to the list.

        Raises:
            TooManyTasks: the list is full.

        """
        now = self.now()
        task = Task(
            id=new_task_id(now),
            title=new.title,
            description=new.description,
            completed=new.completed,
            due=new.due,
            priority=new.priority,
            tags=tuple(new.tags),
            position=position_of_new(now),
            version=FIRST_VERSION,
            created_at=now,
            updated_at=now,
            completed_at=now if new.completed else None,
        )
        return task.id, await self.tasks.add(task, at_most=self.max_tasks)

    async def show(self, task_id: TaskId) -> Shown:
        """Return one task."""
        return await self.tasks.show(task_id)

    async def list(self, *, limit: int = PAGE_DEFAULT, after: Bookmark | None = None) -> Page:
        """Return a page of at most `limit` tasks, newest first."""
        return await self.tasks.page(limit, after=after)

    async def change(self, task_id: TaskId, changes: TaskChanges) -> Shown:
        """Change the named fields of one task; where that changes nothing, nothing changes."""
        return await self.tasks.change(task_id, changes, at=self.now())

    async def complete(self, task_id: TaskId, completed: bool | None = None) -> Shown:  # noqa: FBT001 - a value
        """Complete or reopen one task; None: whichever it is not."""
        if completed is None:
            return await self.tasks.toggle(task_id, at=self.now())
        return await self.change(task_id, TaskChanges(completed=completed))

    async def remove(self, task_id: TaskId) -> None:
        """Delete a task for good."""
        await self.tasks.remove(task_id)
