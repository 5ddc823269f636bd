"""Writes of one task, as pure functions. The repository in memory uses them; PostgreSQL does the same in SQL."""

from dataclasses import replace
from datetime import datetime

from app.domain.errors import NotInTrash, TaskNotFound
from app.domain.position import Position
from app.domain.task import Task, TaskChanges


def change_task(task: Task, changes: TaskChanges, *, at: datetime) -> Task:
    """Apply changes. Return the same object if they change nothing.

    Completing a completed task keeps the time of its completion. Reopening a task clears it.
    """
    changed = replace(task, **changes.given_fields())
    if changed == task:
        return task
    if changes.completed is True:
        changed = replace(changed, completed_at=task.completed_at or at)
    elif changes.completed is False:
        changed = replace(changed, completed_at=None)
    return _next_version(changed, at)


def toggle_task(task: Task, *, at: datetime) -> Task:
    """Complete an open task, or reopen a completed one."""
    return change_task(task, TaskChanges(completed=not task.completed), at=at)


def trash_task(task: Task, *, at: datetime) -> Task:
    """Move a task to the trash."""
    return _next_version(replace(task, trashed_at=at), at)


def restore_task(task: Task, *, at: datetime) -> Task:
    """Restore a task from the trash, as it was.

    Raises:
        NotInTrash: it is not in the trash.
    """
    if task.trashed_at is None:
        raise NotInTrash(task.id)
    return _next_version(replace(task, trashed_at=None), at)


def move_task(task: Task, position: Position, *, at: datetime) -> Task:
    """Set the place of a task in the manual order."""
    return _next_version(replace(task, position=position), at)


def require_in_list(task: Task) -> None:
    """Treat a task in the trash as missing.

    Raises:
        TaskNotFound: it is in the trash.
    """
    if task.trashed_at is not None:
        raise TaskNotFound(task.id)


def _next_version(task: Task, at: datetime) -> Task:
    return replace(task, version=task.version + 1, updated_at=at)
