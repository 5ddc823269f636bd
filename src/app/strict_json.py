"""Strict JSON: RFC 8259, narrowed by I-JSON (RFC 7493), so that every parser reads the same value.

`json.loads` alone accepts UTF-16, duplicate members (the last wins), NaN, lone surrogates, and nesting until
the stack overflows. If two parsers read different values from one text, a check on one can be bypassed.
"""

import json
from math import isfinite
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32  # nested arrays and objects
MAX_ITEMS: Final = 20_000  # members and items in one text; the largest valid batch has 3,100
MAX_DIGITS: Final = (
    309  # of an integer; a double has no more (RFC 7493 §2.2), and longer ones take long to read
)
_QUOTES: Final = 4  # at most, for each member
_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NOT_SQUARE: Final = bytes(set(range(256)) - set(b"[]"))
_TOO_MANY: Final = f"it has more than {MAX_ITEMS:,} members and items, side by side or nested"


class NotStrictJson(ValueError):
    """The text is not strict JSON; the message says why."""


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Parse one JSON text, in time linear in its length.

    Raises:
        NotStrictJson: not UTF-8, or with a byte order mark; not JSON; a duplicate member; NaN or
            Infinity; a number out of range; nested deeper than `max_depth`; more members and items than
            MAX_ITEMS; a lone surrogate.

    """
    opening = data.count(b"[") + data.count(b"{")
    if opening > max_depth or (len(data) > MAX_ITEMS and opening + data.count(b",") > MAX_ITEMS):
        _refuse_costly(data, max_depth)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if b"\\ud" in data or b"\\uD" in data:
            _ENCODER.encode(value).encode("utf-8")  # fails for a lone surrogate from an escape
    except NotStrictJson:
        raise
    except UnicodeDecodeError as error:
        raise NotStrictJson(f"byte {error.start} is not UTF-8") from None
    except UnicodeEncodeError:
        raise NotStrictJson("a string holds half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"{error.msg}, at line {error.lineno} column {error.colno}") from None
    return value


def _refuse_costly(data: bytes, max_depth: int) -> None:
    """Check size and depth outside strings, in whole passes over the bytes.

    A regular expression over strings can be made to take hours. Each value becomes an object in memory, and
    the decoder takes half a second in one call for two megabytes of them.

    Raises:
        NotStrictJson: too many members and items, or nested too deep.

    """
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    if unescaped.count(b'"') > _QUOTES * (MAX_ITEMS + 1):
        raise NotStrictJson(_TOO_MANY)
    outside = b"".join(unescaped.split(b'"')[::2])
    if outside.count(b"[") + outside.count(b"{") + outside.count(b",") > MAX_ITEMS:
        raise NotStrictJson(_TOO_MANY)
    brackets = outside.translate(_TO_SQUARE).translate(None, _NOT_SQUARE)
    for _ in range(max_depth):  # each round removes the innermost pairs
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise NotStrictJson(f"arrays and objects are nested deeper than {max_depth}, or not closed")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJson("an object names a member twice")
    return members


def _constant(name: str) -> NoReturn:
    raise NotStrictJson(f"{name} is not a JSON number")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise NotStrictJson("a number has too many digits")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise NotStrictJson("a number is too large")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_constant=_constant, parse_int=_integer, parse_float=_float
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)
