"""A part of a list, and where the next part begins."""

from dataclasses import dataclass
from typing import Final, NewType

from app.domain.task import TaskId

Bookmark = NewType("Bookmark", TaskId)
"""The last task of a page: the next page holds what is older than it, whether or not it still exists."""

PAGE_MAX: Final = 200  # tasks
PAGE_DEFAULT: Final = 50  # tasks


@dataclass(frozen=True, slots=True)
class Page:
    """At most as many tasks as were asked for, as people see them, newest first."""

    json: bytes  # an array, UTF-8
    next: Bookmark | None  # None: this page is the last
    revision: int  # of all that the owner has: it grows with each of their writes
