"""A part of a list, and where the next part begins."""

from dataclasses import dataclass
from typing import Final, NewType

from app.domain.task import Shown, TaskId

Position = NewType("Position", TaskId)
"""The last task of a page: the next page holds what is older than it, whether or not it still exists."""

PAGE_MAX: Final = 200  # tasks
PAGE_DEFAULT: Final = 50  # tasks


@dataclass(frozen=True, slots=True)
class Page:
    """At most as many tasks as were asked for, newest first."""

    shown: Shown  # an array
    next: Position | None  # None: this page is the last
