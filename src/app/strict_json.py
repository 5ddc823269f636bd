"""JSON as RFC 8259 means it and I-JSON (RFC 7493) narrows it: one text, one meaning, for every reader.

`json.loads` alone takes UTF-16, duplicate members (the last wins), NaN, half surrogates and nesting until
the stack ends. A second reader that sees another document than the first is how checks are passed by.
"""

import json
import re
from math import isfinite
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 32  # arrays and objects within each other
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_ESCAPED_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class NotStrictJson(ValueError):
    """The text is not JSON that every reader understands in the same way; the message says why."""


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Read one JSON text.

    Raises:
        NotStrictJson: not UTF-8, or with a byte order mark; not JSON; a member named twice; NaN or
            Infinity; a number beyond what can be held; nested deeper than `max_depth`; half a surrogate pair.

    """
    if data.count(b"[") + data.count(b"{") > max_depth:
        _refuse_depth(data, max_depth)
    try:
        text = data.decode("utf-8")
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise NotStrictJson(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"{error.msg}, at line {error.lineno} column {error.colno}") from None
    except NotStrictJson:
        raise
    except (ValueError, RecursionError):
        raise NotStrictJson("a number has too many digits") from None
    if _ESCAPED_SURROGATE.search(data):
        _refuse_half_pairs(value)
    return value


def _refuse_depth(data: bytes, max_depth: int) -> None:
    depth = 0
    for match in _BRACKETS.finditer(data):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
            if depth > max_depth:
                raise NotStrictJson(f"arrays and objects are nested deeper than {max_depth}")
        elif token in (b"]", b"}"):
            depth -= 1


def _refuse_half_pairs(value: object) -> None:
    """Refuse half a surrogate pair that an escape smuggled in: no UTF-8 can hold it."""
    if isinstance(value, dict):
        for name, member in value.items():
            _refuse_half_pairs(name)
            _refuse_half_pairs(member)
    elif isinstance(value, list):
        for member in value:
            _refuse_half_pairs(member)
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise NotStrictJson("a string holds half of a surrogate pair")


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
