"""The use cases of tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from app.domain.changes import CHANGES_MAX, ChangesPage, ChangesToken
from app.domain.clock import Clock
from app.domain.commands import Command, Move
from app.domain.summary import Day, Summary
from app.domain.task import NewTask, Shown, TaskChanges, TaskId, Versions, create_task
from app.domain.task_list import NEWEST, PAGE_DEFAULT, Bookmark, Page, Selection
from app.domain.task_repository import TaskRepository


@dataclass(frozen=True, slots=True)
class TaskService:
    """The use cases of one person. Errors are those of `TaskRepository`."""

    tasks: TaskRepository
    now: Clock
    max_tasks: int  # of one person, including the trash

    async def create(self, new: NewTask) -> tuple[TaskId, Shown]:
        """Add a task to the list."""
        task = create_task(new, at=self.now())
        return task.id, await self.tasks.add(task, at_most=self.max_tasks)

    async def batch(self, commands: Sequence[Command]) -> Sequence[Shown | None]:
        """Run all commands in one transaction, as `TaskRepository.apply` does.

        Each created task is newer than the one before it.
        """
        now = self.now()
        operations = [
            create_task(one, at=now + timedelta(microseconds=number)) if isinstance(one, NewTask) else one
            for number, one in enumerate(commands)
        ]
        return await self.tasks.apply(operations, at=now, at_most=self.max_tasks)

    async def show(self, task_id: TaskId) -> Shown:
        """Return one task."""
        return await self.tasks.show(task_id)

    async def list(
        self, selection: Selection = NEWEST, *, limit: int = PAGE_DEFAULT, after: Bookmark | None = None
    ) -> Page:
        """Return a page of at most `limit` of the selected tasks."""
        return await self.tasks.page(limit, after=after, selection=selection)

    async def revision(self) -> int:
        """Return the revision, which grows with each change of the person's tasks."""
        return await self.tasks.revision()

    async def read_changes(self, since: ChangesToken | None, limit: int = CHANGES_MAX) -> ChangesPage:
        """Return a page of changes since a token; None: of all tasks."""
        return await self.tasks.changes(since, limit=limit)

    async def summary(self, zone: ZoneInfo) -> Summary:
        """Count the tasks. The time zone decides which day is today."""
        return await self.tasks.summary(Day.at(self.now(), zone))

    async def change(self, task_id: TaskId, changes: TaskChanges, if_match: Versions | None = None) -> Shown:
        """Change the given fields of one task."""
        return await self.tasks.change(task_id, changes, at=self.now(), if_match=if_match)

    async def complete(
        self,
        task_id: TaskId,
        completed: bool | None = None,  # noqa: FBT001 - a value
        if_match: Versions | None = None,
    ) -> Shown:
        """Complete or reopen one task; None toggles it."""
        if completed is None:
            return await self.tasks.toggle(task_id, at=self.now(), if_match=if_match)
        return await self.change(task_id, TaskChanges(completed=completed), if_match)

    async def remove(
        self, task_id: TaskId, if_match: Versions | None = None, *, permanently: bool = False
    ) -> None:
        """Move one task to the trash, or delete it permanently, whether in the trash or not."""
        if permanently:
            await self.tasks.purge(task_id, if_match=if_match)
        else:
            await self.tasks.trash(task_id, at=self.now(), if_match=if_match)

    async def restore(self, task_id: TaskId, if_match: Versions | None = None) -> Shown:
        """Restore one task from the trash."""
        return await self.tasks.restore(task_id, at=self.now(), if_match=if_match)

    async def move(self, move: Move) -> Shown:
        """Move one task right before or after another in the manual order."""
        return await self.tasks.move(move, at=self.now())
