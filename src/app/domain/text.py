"""Rules of text, for every text field, and the forms for sorting and search."""

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import category, combining, normalize

from app.domain.errors import BrokenRule

SORT_KEY_MAX: Final = 300  # characters; an index entry has at most 2,700 bytes, including the owner

MARKS_MAX: Final = 30  # non-starters in a row (UAX #15 §13): sorting a run takes quadratic time

PIECE: Final = 256  # characters that are normalized at a time

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
"""Runs of scripts without spaces between words."""

_ASCII_WORD: Final = re.compile("[0-9a-z]+")
_DOT: Final = "\u0307"  # case folding turns a Turkish `İ` into `i` and this dot
# Variation selectors, and marks that are equally invisible.
_SELECTORS: Final = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")

_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")  # C0 except tab, line feed, carriage return
_IS_MARK: Final = bytes([0, *[1] * 255])  # combining class to 0 or 1; starters have class 0
_RUN_TOO_LONG: Final = bytes([1]) * (MARKS_MAX + 1)
_INVISIBLE: Final = re.compile(
    "["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u2800"
    "]"
)
"""Default_Ignorable_Code_Point of DerivedCoreProperties.txt (Unicode 14), including unassigned code points,
since the standard library lacks that property; and the empty pattern of Braille, which shows nothing."""


def broken_text_rules(
    field: str, text: str, *, at_most: int, normalized_at_most: int
) -> Iterator[BrokenRule]:
    """Yield each rule that a text breaks. Lengths come first: other checks take time that grows with them.

    `at_most` counts code points. `normalized_at_most` counts those of normal form KC, which is searched and
    sorted, and can be 18 times as long (U+FDFA).
    """
    if len(text) > at_most:
        yield BrokenRule(field, f"must have at most {at_most} characters")
        return
    if text.isascii() and (text.isprintable() or not _CONTROLS.search(text)):  # `isprintable` is quicker
        return
    broken = tuple(broken_character_rules(field, text))
    yield from broken
    if not broken and _is_longer_normalized(text, normalized_at_most):
        yield BrokenRule(field, f"must have at most {normalized_at_most} characters in normal form KC")


def _is_longer_normalized(text: str, at_most: int) -> bool:
    """Return whether the normal form KC of a text has more than `at_most` characters.

    The text is normalized in pieces, and only until it is too long. Pieces may have more characters than the
    whole text, because marks at the start of a piece combine with the letter before it.
    """
    in_pieces = 0
    for begin in range(0, len(text), PIECE):
        in_pieces += len(normalize("NFKC", text[begin : begin + PIECE]))
        if in_pieces > at_most + MARKS_MAX * (begin // PIECE):
            return True
    return in_pieces > at_most and len(normalize("NFKC", text)) > at_most


def broken_character_rules(field: str, text: str) -> Iterator[BrokenRule]:
    """Yield the rules that each text must keep: no control character, lone surrogate or long run of marks."""
    if control := _CONTROLS.search(text):
        yield BrokenRule(field, f"must not contain the control character U+{ord(control[0]):04X}")
    if text.isascii():
        return
    if not _has_utf_8(text):
        yield BrokenRule(field, "must not contain half of a surrogate pair")
    if _RUN_TOO_LONG in bytes(map(combining, text)).translate(_IS_MARK):
        yield BrokenRule(field, f"must not contain more than {MARKS_MAX} combining marks in a row")


def is_blank(text: str) -> bool:
    """Return whether a text has no visible character."""
    return not text.strip() or (not text.isascii() and all(map(_is_invisible, text)))


def _has_utf_8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_invisible(character: str) -> bool:
    return category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf") or _INVISIBLE.match(character) is not None


def sort_key(text: str) -> str:
    """Return the sort key of a text, compared by code point: no case, `é` after `e` and before `f`."""
    return normalize("NFKD", text.casefold())[:SORT_KEY_MAX]


def fold(text: str) -> str:
    """Return a text without case and without variation selectors, for comparisons."""
    plain = normalize("NFD", _SELECTORS.sub("", text)).casefold()  # Unicode's caseless match (D145)
    return normalize("NFC", _without_dots_of_i(plain) if _DOT in plain else plain)


def words(text: str) -> list[str]:
    """Return the words of a text in the form for comparison: without case, compatible forms alike.

    Letters, marks and digits make words. A symbol outside ASCII, such as an emoji, is a separate word, and so
    is each run of a script without spaces. Variation selectors and format characters (Cf) are removed. All
    else separates words: punctuation, apostrophes, operators of other query languages (`|`, `*`).
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    plain = fold(normalize("NFKC", normalize("NFC", _SELECTORS.sub("", text)).translate(_SPACING)))
    return UNSPACED.sub(r" \g<0> ", normalize("NFKC", plain).translate(_SPACING)).split()


def searchable(text: str | None) -> str:
    """Return the words of a text between spaces: ` word ` matches a whole word, ` wo` a beginning."""
    found = words(text or "")
    return f" {' '.join(found)} " if found else ""


def _without_dots_of_i(text: str) -> str:
    kept, after_i = [], False
    for character in text:  # other marks may stand between `i` and its dot
        if not combining(character):
            after_i = character == "i"
        if not (after_i and character == _DOT):
            kept.append(character)
    return "".join(kept)


class _Spacing(dict[int, int | str]):
    """A table for `str.translate` that puts spaces between words. It computes an entry at its first use.

    The entries of all 145,000 assigned characters would take 15 MB. Unassigned and private code points have
    no entry.
    """

    def __missing__(self, code: int) -> int | str:
        spaced = _spaced_character(chr(code))
        if spaced != " " or category(chr(code)) not in ("Cn", "Co", "Cs"):
            self[code] = spaced
        return spaced


_SPACING: Final = _Spacing()


def _spaced_character(character: str) -> int | str:
    if character.isalnum():
        return ord(character)
    match category(character):
        case "Mn" | "Mc" | "Me":
            return ord(character)
        case "Cf":
            return ""
        case "Sc" | "Sk" | "Sm" | "So" if not character.isascii():
            return f" {character} "
    return " "
