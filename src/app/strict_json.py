"""JSON as RFC 8259 means it and I-JSON (RFC 7493) narrows it: one text, one meaning, for every reader.

`json.loads` alone takes UTF-16, duplicate members (the last wins), NaN, half surrogates and nesting until
the stack ends. A second reader that sees another document than the first is how checks are passed by.
"""

import json
from math import isfinite
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32  # arrays and objects within each other
_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NOT_SQUARE: Final = bytes(set(range(256)) - set(b"[]"))


class NotStrictJson(ValueError):
    """The text is not JSON that every reader understands in the same way; the message says why."""


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Read one JSON text, in time that grows with its length only.

    Raises:
        NotStrictJson: not UTF-8, or with a byte order mark; not JSON; a member named twice; NaN or
            Infinity; a number beyond what can be held; nested deeper than `max_depth`; half a surrogate pair.

    """
    if data.count(b"[") + data.count(b"{") > max_depth and _is_deep(data, max_depth):
        raise NotStrictJson(f"arrays and objects are nested deeper than {max_depth}, or not closed")
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


def _is_deep(data: bytes, max_depth: int) -> bool:
    """Tell whether brackets outside strings are left when each round takes out the innermost pairs.

    Whole passes over bytes, because a pattern that steps through strings can be made to take hours.
    """
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(unescaped.split(b'"')[::2])
    brackets = outside.translate(_TO_SQUARE).translate(None, _NOT_SQUARE)
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


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
