"""Lists of tasks: search, filters and order (`Selection`), pages, and where the next page begins."""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, Final

from app.domain.task import Priority, TaskId
from app.domain.text import UNSPACED, broken_character_rules, words

SEARCH_MAX: Final = 500  # characters
SEARCH_WORDS_MAX: Final = 10  # different words
SEARCH_WORD_MAX: Final = 40  # characters; each letter of a text may be compared with a whole word


@dataclass(frozen=True, slots=True)
class Search:
    """A search: each needle must occur in the words of the title or in those of the description.

    A needle is a word as `app.domain.text.searchable` writes it, between spaces. The last word of the search
    text may be the beginning of a word. A word of a script without spaces may be any part of a run.
    """

    needles: tuple[str, ...] = ()
    verbatim: str = ""  # a text without any word, such as `?!`: searched literally

    @classmethod
    def parse(cls, text: str) -> "Search":
        """Parse a search text.

        Raises:
            ValueError: the text is blank or too long, or has too many or too long words or a forbidden
                character.
        """
        if len(text) > SEARCH_MAX:
            raise ValueError(f"must have at most {SEARCH_MAX} characters")
        for broken in broken_character_rules("q", text):
            raise ValueError(broken.rule)
        if not text.strip():
            raise ValueError("must not be blank: leave it out to see all")
        if not (found := words(text)):
            return cls(verbatim=_short_enough(text.strip()))
        *whole, last = map(_short_enough, found)
        needles = {word if UNSPACED.match(word) else f" {word} " for word in whole}
        needles.add(last if UNSPACED.match(last) else f" {last}")
        if len(needles) > SEARCH_WORDS_MAX:
            raise ValueError(f"must have at most {SEARCH_WORDS_MAX} different words")
        return cls(tuple(sorted(needles, key=len, reverse=True)))  # the longest word is probably the rarest


def _short_enough(word: str) -> str:
    if len(word) > SEARCH_WORD_MAX:
        raise ValueError(f"must have words of at most {SEARCH_WORD_MAX} characters")
    return word


class Order(Enum):
    """The orders of a list. Equal tasks are ordered by id, in the same direction."""

    CREATED = "created"
    UPDATED = "updated"  # the order in which the last changes were committed
    DUE = "due"  # tasks without a due date come last in both directions
    PRIORITY = "priority"
    TITLE = "title"
    POSITION = "position"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Filters and order of a list. A filter that is None does not apply."""

    order: Order = Order.CREATED
    descending: bool = True
    trashed: bool = False  # True: only tasks in the trash; False: only tasks outside it
    completed: bool | None = None
    priority: Priority | None = None
    tags: tuple[str, ...] | None = None  # keys of tags (`app.domain.tags`): a task must have all
    due_before: datetime | None = None  # exclusive, like `due_after`; a day means its start in UTC
    due_after: datetime | None = None
    without_due: bool | None = None  # True or None
    updated_since: datetime | None = None  # inclusive
    search: Search | None = None

    def as_conditions(self) -> dict[str, Any]:
        """Return the members that differ from their defaults."""
        if self is NEWEST:  # nearly always
            return {}
        return {name: value for name, default in _DEFAULTS if (value := getattr(self, name)) != default}


_DEFAULTS: Final = tuple((field.name, field.default) for field in fields(Selection))
NEWEST: Final = Selection()

Key = datetime | int | str | None
"""The value that a list is ordered by: revision, due time, priority, sort key of the title, position.
None: only the id decides, as in the order of creation and among tasks without a due date."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The place of the last task of a page; the next page begins after it.

    It holds the values of the order, so the next page is right even if the task has moved or is deleted.
    """

    id: TaskId
    key: Key = None


PAGE_MAX: Final = 1_000  # tasks
PAGE_DEFAULT: Final = PAGE_MAX  # many clients do not follow `Link`
PAGE_BYTES: Final = 1024 * 1024  # of JSON; a larger page ends early


@dataclass(frozen=True, slots=True)
class Page:
    """One page: at most the requested number of tasks, and at most `PAGE_BYTES`."""

    json: bytes  # an array, UTF-8
    next: Bookmark | None  # None: this is the last page
    revision: int  # of the owner's tasks: it grows with each write
