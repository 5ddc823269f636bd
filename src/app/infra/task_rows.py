"""Conversion of tasks to rows, and the check of preconditions on a row."""

from typing import Any, Final

from app.domain.errors import NotInTrash, TaskNotFound
from app.domain.tags import tag_key
from app.domain.task import Shown, Task, TaskId, Versions, require_version
from app.domain.text import searchable, sort_key
from app.infra.postgres.session import Row

ATTEMPTS: Final = 20  # of one write, if other writes of the same tasks come in between
NOT_GIVEN = frozenset({"id", "trashed_at"})
"""Fields without a column value in a new row: the id is a parameter, and a new task is not trashed."""
_GIVEN: Final = tuple(name for name in Task.__slots__ if name not in NOT_GIVEN)


def columns_of_task(task: Task) -> dict[str, Any]:
    """Return the columns of a whole task."""
    return columns({name: getattr(task, name) for name in _GIVEN})


def columns(values: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a task's fields, including those derived for order and search."""
    found = dict(values)
    if "title" in values:
        found["title_key"] = sort_key(values["title"])
        found["title_words"] = searchable(values["title"])
    if "description" in values:
        found["description_words"] = searchable(values["description"])
    if "tags" in values:
        found["tag_keys"] = [tag_key(tag) for tag in values["tags"]]
    if "due" in values:
        due = found.pop("due")
        found["due_at"] = due and due.at
        found["due_whole_day"] = due is not None and due.whole_day
    return found


def shown(row: Row) -> Shown:
    """Return the task that a statement shows."""
    return Shown(row["json"], row["version"])


def check_preconditions(
    seen: Row | None, task_id: TaskId, if_match: Versions | None, *, trashed: bool | None
) -> Shown:
    """Check the current row after a write that matched none. Return the task if all preconditions hold.

    `trashed`: whether the task must be in the trash; None: either. Raises TaskNotFound, TaskChanged or
    NotInTrash, checked in this order.
    """
    if seen is None or (trashed is False and seen["trashed"]):
        raise TaskNotFound(task_id)
    require_version(seen["version"], if_match)
    if trashed and not seen["trashed"]:
        raise NotInTrash(task_id)
    return shown(seen)
