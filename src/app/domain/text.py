"""What text is, for every field that holds some."""

from collections.abc import Iterator
from typing import Final
from unicodedata import category, normalize

from app.domain.errors import BrokenRule

SORT_KEY_MAX: Final = 500  # characters: what is equal so far counts as equal


def unstorable(field: str, text: str) -> Iterator[BrokenRule]:
    """Name what no PostgreSQL text can hold: U+0000, and halves of surrogate pairs."""
    if "\0" in text:
        yield BrokenRule(field, "must not contain the character U+0000")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        yield BrokenRule(field, "must not contain half of a surrogate pair")


def sort_key(text: str) -> str:
    """Return what texts are ordered by, code point by code point: without case, `é` after `e`, before `f`."""
    return normalize("NFKD", text.casefold())[:SORT_KEY_MAX]


def words(text: str) -> list[str]:
    """Return the words of a text, in the form in which they are compared: no case, compatible forms alike.

    Letters, marks and digits make words, whatever the language; a symbol or an emoji is a word of its own;
    all else is between words.
    """
    plain = normalize("NFKC", normalize("NFKC", text).casefold())
    spaced = "".join(
        character
        if character.isalnum() or (kind := category(character))[0] == "M"
        else f" {character} "
        if kind[0] == "S"
        else " "
        for character in plain
    )
    return spaced.split()


def searchable(text: str | None) -> str:
    """Return a text's words with spaces around: ` word ` is found where it is one, ` wo` where one begins."""
    found = words(text or "")
    return f" {' '.join(found)} " if found else ""
