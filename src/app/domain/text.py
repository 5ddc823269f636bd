"""What text is, for every field that holds some: what is stored, sorted by, and searched."""

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import category, normalize

from app.domain.errors import BrokenRule

SORT_KEY_MAX: Final = 300  # characters, which count; an index entry holds 2,700 bytes, the owner's included

UNSPACED: Final = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3035\u3038-\u303c\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # kana, Bopomofo
    "\ua000-\ua4cf"  # Yi
    "\U00016fe0-\U00018d8f\U0001aff0-\U0001b2ff\U00020000-\U0003ffff"  # Tangut, old kana, rarer Han
    "]+"
)
"""Runs of scripts that put no spaces between words."""

_ASCII_WORD: Final = re.compile("[0-9a-z]+")
_DOTTED_I: Final = re.compile("i\u0307+")  # what a Turkish `İ` is without case
_SELECTORS: Final = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # of a look only


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

    Letters, marks and digits make words, whatever the language. A symbol outside ASCII, as an emoji, is a
    word of its own, and so is a run of a script without spaces. What cannot be seen is not there. All else
    is between words: punctuation, an apostrophe too, and what queries of other places are made of (`|`, `*`).
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    plain = _DOTTED_I.sub("i", normalize("NFKC", _spaced(text)).casefold())
    return UNSPACED.sub(r" \g<0> ", _spaced(normalize("NFKC", plain))).split()


def searchable(text: str | None) -> str:
    """Return a text's words with spaces around: ` word ` is found where it is one, ` wo` where one begins."""
    found = words(text or "")
    return f" {' '.join(found)} " if found else ""


def _spaced(text: str) -> str:
    return "".join(map(_spaced_character, _SELECTORS.sub("", text)))


def _spaced_character(character: str) -> str:
    if character.isalnum():
        return character
    match category(character):
        case "Mn" | "Mc" | "Me":
            return character
        case "Cf":
            return ""
        case "Sc" | "Sk" | "Sm" | "So" if not character.isascii():
            return f" {character} "
    return " "
