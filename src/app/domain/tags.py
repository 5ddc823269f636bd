"""Tags: a person's own words for putting tasks together."""

from collections.abc import Iterator, Sequence
from typing import Final
from unicodedata import normalize

from app.domain.errors import BrokenRule
from app.domain.text import broken_text_rules, folded, is_blank

TAGS_MAX: Final = 20  # of one task
TAG_MAX: Final = 50  # characters (code points), after trimming and in normal form C
TYPED_MAX: Final = 4 * TAG_MAX  # as they were sent, trimmed: normal form C has at most as many


def trimmed(tag: str) -> str:
    """Return a tag as it is kept: trimmed, in normal form C, in the case in which it was written."""
    return normalize("NFC", tag).strip()


def tag_key(tag: str) -> str:
    """Return what spellings of one tag have in common, by the rule that words of a search are compared by."""
    return folded(tag).strip()


def broken_tag_rule(field: str, tag: str) -> BrokenRule | None:
    """Return the first rule that a tag breaks. Its length is looked at before it is normalized."""
    if is_blank(tag):
        return BrokenRule(field, "must not be blank")
    for broken in broken_text_rules(field, tag.strip(), at_most=TYPED_MAX, normalized_at_most=TYPED_MAX):
        return BrokenRule(field, broken.rule.replace(str(TYPED_MAX), str(TAG_MAX), 1))
    if len(trimmed(tag)) > TAG_MAX:
        return BrokenRule(field, f"must have at most {TAG_MAX} characters")
    return None


def broken_tag_rules(tags: Sequence[str]) -> Iterator[BrokenRule]:
    """Name each rule that these tags break, each error with its place in the list."""
    if len(tags) > TAGS_MAX:
        yield BrokenRule("tags", f"must have at most {TAGS_MAX} items")
        return
    first: dict[str, int] = {}
    for place, tag in enumerate(tags):
        field = f"tags/{place}"
        if (broken := broken_tag_rule(field, tag)) is not None:
            yield broken
        elif (same := first.setdefault(tag_key(tag), place)) != place:
            yield BrokenRule(field, f"is the same tag as /tags/{same}")
