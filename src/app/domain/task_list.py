"""A part of a list, and where the next part begins."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.domain.task import TaskId

Key = datetime | int | str | None
"""What a list is ordered by: the moment it was changed or is due, its priority, its title's sort key, its
position. None: nothing but the id, as in the order of creation, or among tasks that have no due date."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Where the last task of a page stood: the next page holds what comes after it.

    It says so by itself, so that the walk goes on even if the task is gone by then, or stands elsewhere.
    """

    id: TaskId
    key: Key = None


PAGE_MAX: Final = 1_000  # tasks
PAGE_DEFAULT: Final = PAGE_MAX  # many clients do not follow `Link`
PAGE_BYTES: Final = 1024 * 1024  # of JSON, at most; a page of more ends earlier


@dataclass(frozen=True, slots=True)
class Page:
    """At most as many tasks as were asked for, in at most `PAGE_BYTES`, as people see them."""

    json: bytes  # an array, UTF-8
    next: Bookmark | None  # None: this page is the last
    revision: int  # of all that the owner has: it grows with each of their writes
