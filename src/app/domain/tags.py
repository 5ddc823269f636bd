"""Tags: a person's own words for putting tasks together."""

from collections.abc import Iterator, Sequence
from typing import Final
from unicodedata import normalize

from app.domain.errors import BrokenRule
from app.domain.text import unstorable

TAGS_MAX: Final = 20  # of one task
TAG_MAX: Final = 50  # characters (code points), after trimming


def trimmed(tag: str) -> str:
    """Return a tag as it is kept: trimmed, in normal form C, in the case in which it was written."""
    return normalize("NFC", tag).strip()


def tag_key(tag: str) -> str:
    """Return what two tags have in common that are the same but for case."""
    return normalize("NFC", trimmed(tag).casefold())


def broken_tag_rules(tags: Sequence[str]) -> Iterator[BrokenRule]:
    """Name each rule that these tags break, each fault with its place in the list."""
    if len(tags) > TAGS_MAX:
        yield BrokenRule("tags", f"must be at most {TAGS_MAX}")
        return
    first: dict[str, int] = {}
    for place, tag in enumerate(tags):
        field, kept = f"tags/{place}", trimmed(tag)
        if not kept:
            yield BrokenRule(field, "must not be blank")
        elif len(kept) > TAG_MAX:
            yield BrokenRule(field, f"must have at most {TAG_MAX} characters")
        elif (same := first.setdefault(tag_key(tag), place)) != place:
            yield BrokenRule(field, f"is the same as /tags/{same}, but for case")
        yield from unstorable(field, kept)
