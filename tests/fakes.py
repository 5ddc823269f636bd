"""Stand-ins that keep the domain's promises. `tests/contracts` holds them to it."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from app.api import schemas
from app.domain.errors import NotAuthenticated, TaskNotFound, TooManyTasks
from app.domain.identity import Principal, UserId
from app.domain.page import Bookmark, Page
from app.domain.task import Shown, Task, TaskChanges, TaskId
from tests.wire import shown, wire_task


@dataclass
class Shelf:
    """What all repositories in memory share."""

    tasks: dict[tuple[UserId, TaskId], Task] = field(default_factory=dict)
    revisions: dict[UserId, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MemoryTaskRepository:
    """The tasks of one owner, on a shelf that may be shared."""

    owner: UserId
    shelf: Shelf = field(default_factory=Shelf)

    async def add(self, task: Task, *, at_most: int) -> Shown:
        if len(self._mine()) >= at_most:
            raise TooManyTasks(at_most)
        return self._keep(task)

    async def show(self, task_id: TaskId) -> Shown:
        return shown(self._get(task_id), self.owner)

    async def page(self, limit: int, *, after: Bookmark | None) -> Page:
        older = [task for task in self._mine() if after is None or task.id < after]
        found = sorted(older, key=lambda task: task.id, reverse=True)
        json = schemas.encode([wire_task(task, self.owner) for task in found[:limit]])
        following = Bookmark(found[limit - 1].id) if len(found) > limit else None
        return Page(json, following, self.shelf.revisions.get(self.owner, 0))

    async def change(self, task_id: TaskId, changes: TaskChanges, *, at: datetime) -> Shown:
        before = self._get(task_id)
        task = replace(before, **changes.named())
        if task == before:
            return await self.show(task_id)
        if changes.completed is True:
            task = replace(task, completed_at=before.completed_at or at)
        elif changes.completed is False:
            task = replace(task, completed_at=None)
        return self._keep(replace(task, version=task.version + 1, updated_at=at))

    async def toggle(self, task_id: TaskId, *, at: datetime) -> Shown:
        return await self.change(task_id, TaskChanges(completed=not self._get(task_id).completed), at=at)

    async def remove(self, task_id: TaskId) -> None:
        self._get(task_id)
        del self.shelf.tasks[self.owner, task_id]
        self._count()

    def _mine(self) -> list[Task]:
        return [task for (owner, _), task in self.shelf.tasks.items() if owner == self.owner]

    def _get(self, task_id: TaskId) -> Task:
        try:
            return self.shelf.tasks[self.owner, task_id]
        except KeyError:
            raise TaskNotFound(task_id) from None

    def _keep(self, task: Task) -> Shown:
        self.shelf.tasks[self.owner, task.id] = task
        self._count()
        return shown(task, self.owner)

    def _count(self) -> None:
        self.shelf.revisions[self.owner] = self.shelf.revisions.get(self.owner, 0) + 1


class NameTagVerifier:
    """Believes a token that is just a name."""

    async def verify(self, token: str) -> Principal:
        if not token.replace("-", "").isalnum():
            raise NotAuthenticated("not a name")
        return Principal(UserId(token))
