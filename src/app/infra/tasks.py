"""Tasks in Neon."""

from datetime import datetime

from app.domain.errors import TaskNotFound
from app.domain.identity import UserId
from app.domain.page import Page, Position
from app.domain.task import Shown, Task, TaskChanges, TaskId
from app.infra.owned import Connection, OwnedRepository, Row
from app.infra.rows import TaskRow


class NeonTaskRepository:
    """`TaskRepository` over the `tasks` table."""

    def __init__(self, connection: Connection, *, owner: UserId) -> None:
        self._rows = OwnedRepository(connection, TaskRow, owner=owner)

    async def add(self, task: Task) -> None:
        values = {name: getattr(task, name) for name in _COLUMNS}
        await self._rows.insert(task.id, values)

    async def get(self, task_id: TaskId) -> Task:
        return _task(task_id, await self._rows.find(task_id))

    async def show(self, task_id: TaskId) -> Shown:
        row = await self._rows.show(task_id)
        if row is None:
            raise TaskNotFound(task_id)
        return Shown(row["shown"])

    async def page(self, limit: int, *, after: Position | None) -> Page:
        rows = await self._rows.newest(limit + 1, after=after)  # one more, to know whether any is left
        shown = [row["shown"] for row in rows[:limit]]
        following = Position(rows[limit - 1]["id"]) if len(rows) > limit else None
        return Page(Shown(b"[" + b",".join(shown) + b"]"), following)

    async def change(self, task_id: TaskId, changes: TaskChanges, *, at: datetime) -> Task:
        values = {**changes.named(), "updated_at": at}
        return _task(task_id, await self._rows.update(task_id, values))

    async def toggle(self, task_id: TaskId, *, at: datetime) -> Task:
        return _task(task_id, await self._rows.update(task_id, {"updated_at": at}, negate="completed"))

    async def remove(self, task_id: TaskId) -> None:
        if not await self._rows.delete(task_id):
            raise TaskNotFound(task_id)


_COLUMNS = ("title", "description", "completed", "created_at", "updated_at")


def _task(task_id: TaskId, row: Row | None) -> Task:
    if row is None:
        raise TaskNotFound(task_id)
    return Task(**row)
