"""Commands on tasks. A batch runs several of them, all or none."""

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

_MOST_IMPORTANT_FIRST: Final = (TaskNotFound, TaskChanged, NotInTrash)


def choose_refusal(refusals: Mapping[int, DomainError]) -> DomainError:
    """Return the refusal that the client gets, with the number of its operation.

    `refusals` maps the number of a refused operation to its error. A missing task is more important than a
    version conflict, as in a request for one task. Among equals, the first operation counts.
    """
    number = min(refusals, key=lambda each: (_MOST_IMPORTANT_FIRST.index(type(refusals[each])), each))
    refusal = refusals[number]
    refusal.operation = number
    return refusal


@dataclass(frozen=True, slots=True)
class Move:
    """Move a task right before or right after another."""

    task_id: TaskId
    beside: TaskId
    before: bool  # False: after `beside`
    if_match: Versions | None = None
