"""Stand-ins that keep the domain's promises. `tests/contracts` holds them to it."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from app.api import schemas
from app.domain.errors import NotAuthenticated, TaskNotFound
from app.domain.identity import Principal, UserId
from app.domain.page import Page, Position
from app.domain.task import Shown, Task, TaskChanges, TaskId

Shelf = dict[tuple[UserId, TaskId], Task]


@dataclass
class MemoryTaskRepository:
    """One owner's tasks, in a dictionary. Share `shelf` to give two owners one store."""

    owner: UserId
    shelf: Shelf = field(default_factory=dict)

    async def add(self, task: Task) -> None:
        self.shelf[self.owner, task.id] = task

    async def get(self, task_id: TaskId) -> Task:
        try:
            return self.shelf[self.owner, task_id]
        except KeyError:
            raise TaskNotFound(task_id) from None

    async def show(self, task_id: TaskId) -> Shown:
        return self._shown(schemas.Task.of(await self.get(task_id), self.owner))

    async def page(self, limit: int, *, after: Position | None) -> Page:
        mine = [task for (owner, _), task in self.shelf.items() if owner == self.owner]
        older = [task for task in mine if after is None or task.id < after]
        found = sorted(older, key=lambda task: task.id, reverse=True)
        tasks = [schemas.Task.of(task, self.owner) for task in found[:limit]]
        return Page(self._shown(tasks), Position(found[limit - 1].id) if len(found) > limit else None)

    async def change(self, task_id: TaskId, changes: TaskChanges, *, at: datetime) -> Task:
        task = await self.get(task_id)
        named = changes.named()
        changed = replace(task, **named, updated_at=at)  # type: ignore[arg-type]  # each has its field's type
        self.shelf[self.owner, task_id] = changed
        return changed

    async def toggle(self, task_id: TaskId, *, at: datetime) -> Task:
        task = await self.get(task_id)
        return await self.change(task_id, TaskChanges(completed=not task.completed), at=at)

    @staticmethod
    def _shown(value: object) -> Shown:
        return Shown(schemas.encode(value))

    async def remove(self, task_id: TaskId) -> None:
        await self.get(task_id)
        del self.shelf[self.owner, task_id]


class NameTagVerifier:
    """Believes a token that is just a name."""

    async def verify(self, token: str) -> Principal:
        if not token.replace("-", "").isalnum():
            raise NotAuthenticated("not a name")
        return Principal(UserId(token))
