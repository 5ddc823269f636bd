"""Which tasks a person wants to see, and in which order."""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, Final

from app.domain.search import Search
from app.domain.task import Priority


class Order(Enum):
    """What a list can be ordered by. Among equals the id decides, in the same direction."""

    CREATED = "created"
    UPDATED = "updated"
    DUE = "due"  # those without a due date come last in both directions
    PRIORITY = "priority"
    TITLE = "title"
    POSITION = "position"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Tasks that meet every condition which is not None; unless asked, all but the trash, newest first."""

    order: Order = Order.CREATED
    descending: bool = True
    trashed: bool = False  # those in the trash, or those that are not
    completed: bool | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] | None = None  # keys of tags (`app.domain.tags`), all of which a task must have
    due_before: datetime | None = None  # exclusive, as is the next; a day is its start in UTC
    due_after: datetime | None = None
    without_due: bool | None = None  # only True means something
    updated_since: datetime | None = None  # inclusive
    search: Search | None = None

    def said(self) -> dict[str, Any]:
        """Return what differs from a list of which nothing was asked."""
        if self is NEWEST:  # nearly always
            return {}
        return {name: value for name, unsaid in _UNSAID if (value := getattr(self, name)) != unsaid}


_UNSAID: Final = tuple((field.name, field.default) for field in fields(Selection))
NEWEST: Final = Selection()
