"""A task, the rules of its fields, and what each write does to it.

The repository in memory calls these functions. The SQL of `app.infra.statements` does the same for speed: the
tests in `tests/contracts` hold both to the same results.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, IntEnum, auto
from typing import Any, Final, NewType, Self
from uuid import UUID

from app.domain.due import Due
from app.domain.errors import BrokenRule, InvalidTask, NotInTrash, TaskChanged, TaskNotFound
from app.domain.position import Position, microseconds_since_epoch, position_of_new
from app.domain.tags import broken_tag_rules, trim_tag
from app.domain.text import broken_text_rules, is_blank

TaskId = NewType("TaskId", UUID)

TITLE_MAX: Final = 255  # characters (code points), after trimming
NORMALIZED_TITLE_MAX: Final = 4 * TITLE_MAX  # characters in normal form KC
DESCRIPTION_MAX: Final = 10_000  # characters (code points)
FIRST_VERSION: Final = 1  # a task's version grows with each change of the task

Versions = frozenset[int]
"""The versions that a change accepts. None instead: any version."""


class MissingVersions(frozenset[int]):
    """A required `If-Match` that is missing. It is empty, so it matches no version and nothing is written."""


class NoTask(frozenset[int]):
    """An `If-None-Match: *`: the task must not exist. It is empty, so it matches no version."""


class ForeignTags(frozenset[int]):
    """An `If-Match` whose entity tags are no versions. It is empty, so it matches no version."""

    sent: str

    def __new__(cls, sent: str) -> Self:
        """Make it from the header's value as it was sent."""
        made = super().__new__(cls)
        made.sent = sent
        return made


class Priority(IntEnum):
    """The priority of a task."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A stored task. It has no owner field: its repository has the owner."""

    id: TaskId
    title: str
    description: str | None
    completed: bool
    due: Due | None
    priority: Priority
    tags: tuple[str, ...]
    position: Position
    version: int
    created_at: datetime  # UTC and aware, as all times here
    updated_at: datetime
    completed_at: datetime | None  # None: the task is open
    trashed_at: datetime | None = None  # None: the task is not in the trash


@dataclass(frozen=True, slots=True)
class Shown:
    """A task as JSON, written by the storage. The domain does not read it."""

    json: bytes  # an object, UTF-8
    version: int


class _Fields:
    """Fields of a task that a client sends. Raises InvalidTask with every rule that they break."""

    __slots__: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the rules, and trim the title and the tags."""
        values = self.given_fields()
        if broken := tuple(broken_rules(values)):
            raise InvalidTask(broken)
        if "title" in values:
            object.__setattr__(self, "title", values["title"].strip())
        if values.get("tags"):
            object.__setattr__(self, "tags", tuple(map(trim_tag, values["tags"])))

    def given_fields(self) -> dict[str, Any]:
        """Return the fields that do not keep their values, with the new values."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not KEEP}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask(_Fields):
    """The fields of a task to create."""

    title: str
    description: str | None = None
    completed: bool = False
    due: Due | None = None
    priority: Priority = Priority.NONE
    tags: Sequence[str] = ()


class Keep(Enum):
    """Marks a field that keeps its value. None cannot mark it: a description of None is a cleared one."""

    KEEP = auto()


KEEP: Final = Keep.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChanges(_Fields):
    """The fields of a task to change."""

    title: str | Keep = KEEP
    description: str | Keep | None = KEEP
    completed: bool | Keep = KEEP
    due: Due | Keep | None = KEEP
    priority: Priority | Keep = KEEP
    tags: Sequence[str] | Keep = KEEP


def new_task_id(now: datetime) -> TaskId:
    """Make a UUID version 7 (RFC 9562 §5.7), which sorts by time of creation, to the microsecond.

    The twelve bits after the milliseconds are the fraction of a millisecond (§6.2, method 3).
    """
    milliseconds, microseconds = divmod(microseconds_since_epoch(now), 1000)
    fraction = microseconds * 4096 // 1000
    return TaskId(
        UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))
    )


def create_task(new: NewTask, *, at: datetime) -> Task:
    """Return the task for these fields."""
    return Task(
        id=new_task_id(at),
        title=new.title,
        description=new.description,
        completed=new.completed,
        due=new.due,
        priority=new.priority,
        tags=tuple(new.tags),
        position=position_of_new(at),
        version=FIRST_VERSION,
        created_at=at,
        updated_at=at,
        completed_at=at if new.completed else None,
    )


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
    """Restore a task from the trash, as it was; raise NotInTrash if it is not there."""
    if task.trashed_at is None:
        raise NotInTrash(task.id)
    return _next_version(replace(task, trashed_at=None), at)


def move_task(task: Task, position: Position, *, at: datetime) -> Task:
    """Set the place of a task in the manual order."""
    return _next_version(replace(task, position=position), at)


def require_in_list(task: Task) -> None:
    """Raise TaskNotFound if a task is in the trash."""
    if task.trashed_at is not None:
        raise TaskNotFound(task.id)


def require_version(version: int, if_match: Versions | None) -> None:
    """Raise TaskChanged if `If-Match` names other versions only."""
    if if_match is not None and version not in if_match:
        raise TaskChanged(version, if_match)


def _next_version(task: Task, at: datetime) -> Task:
    return replace(task, version=task.version + 1, updated_at=at)


def broken_rules(values: Mapping[str, Any]) -> Iterator[BrokenRule]:
    """Yield each rule that these fields break. Title and tags are checked after trimming."""
    if (title := values.get("title")) is not None:
        if is_blank(title):
            yield BrokenRule("title", "must not be blank")
        yield from broken_text_rules(
            "title", title.strip(), at_most=TITLE_MAX, normalized_at_most=NORMALIZED_TITLE_MAX
        )
    if (description := values.get("description")) is not None:
        yield from broken_text_rules(
            "description", description, at_most=DESCRIPTION_MAX, normalized_at_most=2 * DESCRIPTION_MAX
        )
    if tags := values.get("tags"):
        yield from broken_tag_rules(tags)
