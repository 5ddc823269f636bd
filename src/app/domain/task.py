"""A task, and the rules that one task checks by itself."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final, NewType
from uuid import UUID

from app.domain.errors import BrokenRule, InvalidTask

TaskId = NewType("TaskId", UUID)

Shown = NewType("Shown", bytes)
"""A task, or an array of them, as people see it: JSON in UTF-8, written where the tasks are kept.

No rule looks at it, so it passes through unread.
"""

TITLE_MAX: Final = 255  # characters (code points), after trimming
DESCRIPTION_MAX: Final = 10_000  # characters (code points)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to do, as it is kept. It has no owner field: the repository it lives in has."""

    id: TaskId
    title: str
    description: str | None
    completed: bool
    created_at: datetime  # aware, UTC
    updated_at: datetime  # aware, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What a person says of a task to be.

    Raises:
        InvalidTask: naming every field that breaks a rule.

    """

    title: str
    description: str | None = None
    completed: bool = False

    def __post_init__(self) -> None:
        """Trim, and refuse to exist in breach of a rule."""
        object.__setattr__(self, "title", self.title.strip())
        _refuse_broken_rules(self.title, self.description)


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

    def __post_init__(self) -> None:
        """Trim, and refuse to exist in breach of a rule."""
        if self.title is not KEEP:
            object.__setattr__(self, "title", self.title.strip())
        _refuse_broken_rules(self.title, self.description)

    def named(self) -> dict[str, str | bool | None]:
        """Return the fields that change, with their new values."""
        fields = (("title", self.title), ("description", self.description), ("completed", self.completed))
        return {name: value for name, value in fields if value is not KEEP}


def new_task_id(now: datetime) -> TaskId:
    """Make a UUID version 7 (RFC 9562 §5.7) whose order is the order of creation.

    The twelve bits after the milliseconds hold their fraction (§6.2, method 3), so ids made by
    different processes sort by time to a quarter of a microsecond.
    """
    milliseconds, microseconds = divmod((now - EPOCH) // timedelta(microseconds=1), 1000)
    fraction = microseconds * 4096 // 1000
    return TaskId(
        UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62))
    )


def broken_rules(title: str | Keep, description: str | Keep | None) -> Iterator[BrokenRule]:
    """Name each rule that these values break; a title is judged as it is after trimming."""
    if title is not KEEP:
        trimmed = title.strip()
        if not trimmed:
            yield BrokenRule("title", "must not be blank")
        elif len(trimmed) > TITLE_MAX:
            yield BrokenRule("title", f"must have at most {TITLE_MAX} characters")
        yield from _unstorable("title", trimmed)
    if description is not KEEP and description is not None:
        if len(description) > DESCRIPTION_MAX:
            yield BrokenRule("description", f"must have at most {DESCRIPTION_MAX} characters")
        yield from _unstorable("description", description)


def _unstorable(field: str, text: str) -> Iterator[BrokenRule]:
    """Name what no PostgreSQL text can hold: U+0000, and halves of surrogate pairs."""
    if "\0" in text:
        yield BrokenRule(field, "must not contain the character U+0000")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        yield BrokenRule(field, "must not contain half of a surrogate pair")


def _refuse_broken_rules(title: str | Keep, description: str | Keep | None) -> None:
    if broken := tuple(broken_rules(title, description)):
        raise InvalidTask(broken)
