"""Tasks to rows, and what a row says of an act that met none."""

from typing import Any

from app.domain.errors import NotInTrash, TaskNotFound
from app.domain.tags import tag_key
from app.domain.task import Shown, Task, TaskId, Versions, require_version
from app.domain.text import searchable, sort_key
from app.infra.postgres.session import Row

NOT_GIVEN = frozenset({"id", "trashed_at"})
"""Fields that a new row does not take from its columns: the id has a name of its own, the trash is empty."""


def columns_of(task: Task) -> dict[str, Any]:
    """Return what a whole task is in columns."""
    return columns({name: getattr(task, name) for name in task.__slots__ if name not in NOT_GIVEN})


def columns(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a task's fields are in columns: the same, and what is derived for order and search."""
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


def judged(seen: Row | None, task_id: TaskId, if_match: Versions | None, *, trashed: bool | None) -> Shown:
    """Tell why a write met no row, from what is there; where nothing speaks against it, return the task.

    `trashed` says where the task must be; None: anywhere.

    Raises:
        TaskNotFound, TaskChanged, NotInTrash: judged in this order.

    """
    if seen is None or (trashed is False and seen["trashed"]):
        raise TaskNotFound(task_id)
    require_version(seen["version"], if_match)
    if trashed and not seen["trashed"]:
        raise NotInTrash(task_id)
    return shown(seen)
