"""Replaces parts of the examples in `docs/`, for example ports that a test cannot use."""

from collections.abc import Mapping


def replace_each(text: str, changes: Mapping[str, str], name: str) -> str:
    """Return the text with replacements. Fail unless each replaced text occurs exactly once; `name` is the file's."""
    for old, new in changes.items():
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    return text
