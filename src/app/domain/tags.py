"""Tags: a person's own labels for groups of tasks."""

from collections.abc import Iterator, Sequence
from typing import Final
from unicodedata import normalize

from app.domain.errors import BrokenRule
from app.domain.text import broken_text_rules, fold, is_blank

TAGS_MAX: Final = 20  # of one task
TAG_MAX: Final = 50  # characters (code points), after trimming and in normal form C
TAG_MAX_AS_SENT: Final = 4 * TAG_MAX  # characters as sent, after trimming; also in normal form KC


def trim_tag(tag: str) -> str:
    """Return a tag as it is stored: trimmed, in normal form C, its case unchanged."""
    return normalize("NFC", tag).strip()


def tag_key(tag: str) -> str:
    """Return the key of a tag. All spellings of a tag have the same key: it ignores case, for example."""
    return fold(tag).strip()


def broken_tag_rule(field: str, tag: str) -> BrokenRule | None:
    """Return the first rule that a tag breaks. Its length is checked before the tag is normalized."""
    if is_blank(tag):
        return BrokenRule(field, "must not be blank")
    limits = {"at_most": TAG_MAX_AS_SENT, "normalized_at_most": TAG_MAX_AS_SENT}
    for broken in broken_text_rules(field, tag.strip(), **limits):
        return BrokenRule(field, broken.rule.replace(str(TAG_MAX_AS_SENT), str(TAG_MAX), 1))
    if len(trim_tag(tag)) > TAG_MAX:
        return BrokenRule(field, f"must have at most {TAG_MAX} characters")
    return None


def broken_tag_rules(tags: Sequence[str]) -> Iterator[BrokenRule]:
    """Yield each rule that these tags break, with the place of the tag in the list."""
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
