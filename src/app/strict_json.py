"""JSON as RFC 8259 means it and I-JSON (RFC 7493) narrows it: one text, one meaning, for every reader.

`json.loads` alone takes UTF-16, duplicate members (the last wins), NaN, half surrogates and nesting until
the stack ends. A second reader that sees another document than the first is how checks are passed by.
"""

import json
from math import isfinite
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32  # arrays and objects within each other
MAX_ITEMS: Final = 20_000  # members and items in one text; a batch of all that is allowed has 3,100
_QUOTES: Final = 4  # that a member has at most
_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NOT_SQUARE: Final = bytes(set(range(256)) - set(b"[]"))
_TOO_MANY: Final = f"it has more than {MAX_ITEMS:,} members and items, side by side or nested"


class NotStrictJson(ValueError):
    """The text is not JSON that every reader understands in the same way; the message says why."""


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Read one JSON text, in time that grows with its length only.

    Raises:
        NotStrictJson: not UTF-8, or with a byte order mark; not JSON; a member named twice; NaN or
            Infinity; a number beyond what can be held; nested deeper than `max_depth`; more members and
            items than MAX_ITEMS; half a surrogate pair.

    """
    opening = data.count(b"[") + data.count(b"{")
    if opening > max_depth or (len(data) > MAX_ITEMS and opening + data.count(b",") > MAX_ITEMS):
        _refuse_what_is_dear(data, max_depth)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if b"\\ud" in data or b"\\uD" in data:
            _ENCODER.encode(value).encode("utf-8")  # half a pair, smuggled in by an escape, has no UTF-8
    except NotStrictJson:
        raise
    except UnicodeDecodeError as error:
        raise NotStrictJson(f"byte {error.start} is not UTF-8") from None
    except UnicodeEncodeError:
        raise NotStrictJson("a string holds half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"{error.msg}, at line {error.lineno} column {error.colno}") from None
    except ValueError:
        raise NotStrictJson("a number has too many digits") from None
    return value


def _refuse_what_is_dear(data: bytes, max_depth: int) -> None:
    """Look at what is outside strings, by whole passes over bytes.

    A pattern that steps through strings can be made to take hours. Each value is an object in memory, and
    two megabytes of them take the decoder half a second in one call.
    """
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    if unescaped.count(b'"') > _QUOTES * (MAX_ITEMS + 1):
        raise NotStrictJson(_TOO_MANY)
    outside = b"".join(unescaped.split(b'"')[::2])
    if outside.count(b"[") + outside.count(b"{") + outside.count(b",") > MAX_ITEMS:
        raise NotStrictJson(_TOO_MANY)
    brackets = outside.translate(_TO_SQUARE).translate(None, _NOT_SQUARE)
    for _ in range(max_depth):  # each round takes out the innermost pairs
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


def _float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise NotStrictJson("a number is too large")
    return number


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant, parse_float=_float)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)
