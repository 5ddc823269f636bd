"""Tasks in Neon."""

from datetime import datetime
from typing import Any

from app.domain.errors import TaskNotFound, TooManyTasks
from app.domain.identity import UserId
from app.domain.page import Bookmark, Page
from app.domain.tags import tag_key
from app.domain.task import Shown, Task, TaskChanges, TaskId
from app.domain.text import searchable, sort_key
from app.infra.owned import Connection, OwnedConnection, Row
from app.infra.statements import lists, tasks


class NeonTaskRepository:
    """The tasks of one owner; see `app.domain.task_repository` for what each method promises."""

    def __init__(self, connection: Connection, *, owner: UserId) -> None:
        self._mine = OwnedConnection(connection, owner=owner)

    async def add(self, task: Task, *, at_most: int) -> Shown:
        values = {name: getattr(task, name) for name in task.__slots__ if name not in ("id", "due")}
        values |= _columns(
            {"title": task.title, "description": task.description, "due": task.due, "tags": task.tags}
        )
        row = await self._mine.one(tasks.INSERT, **values, row=task.id, at_most=at_most)
        if row is None:
            raise TooManyTasks(at_most)
        return _shown(row)

    async def show(self, task_id: TaskId) -> Shown:
        row = await self._mine.one(tasks.SHOW, row=task_id)
        if row is None:
            raise TaskNotFound(task_id)
        return _shown(row)

    async def page(self, limit: int, *, after: Bookmark | None) -> Page:
        statement = lists.NEWEST if after is None else lists.OLDER
        (row,) = await self._mine.rows(
            statement, limit=limit + 1, after=after
        )  # one more tells whether any is left
        found, ids = row["shown"] or [], row["ids"] or []
        following = Bookmark(ids[limit - 1]) if len(ids) > limit else None
        return Page(b"[" + b",".join(found[:limit]) + b"]", following, row["revision"])

    async def change(self, task_id: TaskId, changes: TaskChanges, *, at: datetime) -> Shown:
        if values := _columns(changes.named()):
            statement = tasks.update_of(tuple(values))
            row = await self._mine.one(statement, **values, row=task_id, updated_at=at)
            if row is not None:
                return _shown(row)
        return await self.show(task_id)  # it is not there, or is what it shall be

    async def toggle(self, task_id: TaskId, *, at: datetime) -> Shown:
        row = await self._mine.one(tasks.TOGGLE, row=task_id, updated_at=at)
        if row is None:
            raise TaskNotFound(task_id)
        return _shown(row)

    async def remove(self, task_id: TaskId) -> None:
        if await self._mine.one(tasks.DELETE, row=task_id) is None:
            raise TaskNotFound(task_id)


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a task's fields are in columns: the same, and what is derived for order and search."""
    columns = dict(values)
    if "title" in values:
        columns["title_key"] = sort_key(values["title"])
        columns["title_words"] = searchable(values["title"])
    if "description" in values:
        columns["description_words"] = searchable(values["description"])
    if "tags" in values:
        columns["tag_keys"] = [tag_key(tag) for tag in values["tags"]]
    if "due" in values:
        due = columns.pop("due")
        columns["due_at"] = due and due.at
        columns["due_whole_day"] = due is not None and due.whole_day
    return columns


def _shown(row: Row) -> Shown:
    return Shown(row["json"], row["version"])
