"""Commands on tasks. A batch creates, changes, trashes and restores: all of it, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.domain.errors import DomainError, NotInTrash, TaskChanged, TaskNotFound
from app.domain.task import NewTask, Task, TaskChanges, TaskId, Versions

OPERATIONS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Change:
    """Change fields of a task."""

    task_id: TaskId
    changes: TaskChanges
    if_match: Versions | None = None


@dataclass(frozen=True, slots=True)
class Trash:
    """Move a task to the trash."""

    task_id: TaskId
    if_match: Versions | None = None


@dataclass(frozen=True, slots=True)
class Restore:
    """Restore a task from the trash."""

    task_id: TaskId
    if_match: Versions | None = None


Command = NewTask | Change | Trash | Restore
"""One operation of a batch. No two operations of a batch name the same task."""

Operation = Task | Change | Trash | Restore
"""One write to storage; a `Task` is added."""

_IN_ORDER: Final = (TaskNotFound, TaskChanged, NotInTrash)


def first_of(refusals: Mapping[int, DomainError]) -> DomainError:
    """Return the refusal that the client gets. `refusals` has at most one per operation, by its number.

    A missing task comes before a version conflict, as it does for one task.
    """
    number, refusal = min(refusals.items(), key=lambda item: (_IN_ORDER.index(type(item[1])), item[0]))
    refusal.operation = number
    return refusal


@dataclass(frozen=True, slots=True)
class Move:
    """Move a task right before or right after another."""

    task_id: TaskId
    beside: TaskId
    before: bool
    if_match: Versions | None = None
