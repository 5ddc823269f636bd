"""Stand-ins that keep the domain's promises. `tests/contracts` holds them to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.domain.errors import NotAuthenticated, TaskNotFound
from app.domain.identity import Principal, UserId
from app.domain.page import Position
from app.domain.task import Task, TaskChanges, TaskId

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

    async def newest(self, limit: int, *, after: Position | None) -> Sequence[Task]:
        mine = [task for (owner, _), task in self.shelf.items() if owner == self.owner]
        older = [task for task in mine if after is None or task.id < after]
        return sorted(older, key=lambda task: task.id, reverse=True)[:limit]

    async def change(self, task_id: TaskId, changes: TaskChanges, *, at: datetime) -> Task:
        task = await self.get(task_id)
        named = changes.named()
        changed = replace(task, **named, updated_at=at)  # type: ignore[arg-type]  # each has its field's type
        self.shelf[self.owner, task_id] = changed
        return changed

    async def toggle(self, task_id: TaskId, *, at: datetime) -> Task:
        task = await self.get(task_id)
        return await self.change(task_id, TaskChanges(completed=not task.completed), at=at)

    async def remove(self, task_id: TaskId) -> None:
        await self.get(task_id)
        del self.shelf[self.owner, task_id]


class NameTagVerifier:
    """Believes a token that is just a name."""

    async def verify(self, token: str) -> Principal:
        if not token.replace("-", "").isalnum():
            raise NotAuthenticated("not a name")
        return Principal(UserId(token))
