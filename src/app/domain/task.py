"""A task, and the rules that one task checks by itself."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum, auto
from typing import Any, Final, NewType
from uuid import UUID

from app.domain.due import Due
from app.domain.errors import BrokenRule, InvalidTask
from app.domain.moments import microseconds_since_epoch
from app.domain.position import Position
from app.domain.tags import broken_tag_rules, trimmed
from app.domain.text import broken_text_rules, is_blank

TaskId = NewType("TaskId", UUID)

TITLE_MAX: Final = 255  # characters (code points), after trimming
NORMALIZED_TITLE_MAX: Final = 4 * TITLE_MAX  # characters, in normal form KC
DESCRIPTION_MAX: Final = 10_000  # characters (code points)
FIRST_VERSION: Final = 1  # a task's version grows with each change of it

Versions = frozenset[int]
"""Versions of which a task must have one, for a change to happen. None in its place: whichever it has."""

UNSAID: Final[Versions] = frozenset({0})
"""Stands for versions that must be said and were not: no task has this one, so nothing happens."""


class Priority(IntEnum):
    """How much it matters."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to do, as it is kept. It has no owner field: the repository it lives in has."""

    id: TaskId
    title: str
    description: str | None
    completed: bool
    due: Due | None
    priority: Priority
    tags: tuple[str, ...]
    position: Position
    version: int
    created_at: datetime  # aware, UTC, as all moments here
    updated_at: datetime
    completed_at: datetime | None  # when it was last completed; None: it is open


@dataclass(frozen=True, slots=True)
class Shown:
    """A task as people see it, written where tasks are kept. No rule looks into it."""

    json: bytes  # an object, UTF-8
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What a person says of a task to be.

    Raises:
        InvalidTask: naming every field that breaks a rule.

    """

    title: str
    description: str | None = None
    completed: bool = False
    due: Due | None = None
    priority: Priority = Priority.NONE
    tags: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Trim, and refuse to exist in breach of a rule."""
        _trim_or_refuse(self)


class Keep(Enum):
    """Says of a field that it keeps its value, which `None` cannot: None empties a description."""

    KEEP = auto()


KEEP: Final = Keep.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChanges:
    """The fields that a person changes.

    Raises:
        InvalidTask: naming every field that breaks a rule.

    """

    title: str | Keep = KEEP
    description: str | Keep | None = KEEP
    completed: bool | Keep = KEEP
    due: Due | Keep | None = KEEP
    priority: Priority | Keep = KEEP
    tags: Sequence[str] | Keep = KEEP

    def __post_init__(self) -> None:
        """Trim, and refuse to exist in breach of a rule."""
        _trim_or_refuse(self)

    def named(self) -> dict[str, Any]:
        """Return the fields that change, with their new values."""
        return _named(self)


def new_task_id(now: datetime) -> TaskId:
    """Make a UUID version 7 (RFC 9562 §5.7) whose order is the order of creation.

    The twelve bits after the milliseconds hold their fraction (§6.2, method 3), so ids made by
    different processes sort by time to a quarter of a microsecond.
    """
    milliseconds, microseconds = divmod(microseconds_since_epoch(now), 1000)
    fraction = microseconds * 4096 // 1000
    return TaskId(
        UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))
    )


def broken_rules(values: Mapping[str, Any]) -> Iterator[BrokenRule]:
    """Name each rule that these fields break; texts are judged as they are after trimming."""
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


def _named(said: NewTask | TaskChanges) -> dict[str, Any]:
    values = ((name, getattr(said, name)) for name in said.__slots__)
    return {name: value for name, value in values if value is not KEEP}


def _trim_or_refuse(said: NewTask | TaskChanges) -> None:
    values = _named(said)
    if broken := tuple(broken_rules(values)):
        raise InvalidTask(broken)
    if "title" in values:
        object.__setattr__(said, "title", values["title"].strip())
    if values.get("tags"):
        object.__setattr__(said, "tags", tuple(map(trimmed, values["tags"])))
