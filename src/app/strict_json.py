"""Strict JSON: RFC 8259, narrowed by I-JSON (RFC 7493), so that every parser reads the same value.

`json.loads` alone accepts UTF-16, duplicate members (the last wins), NaN, lone surrogates, and nesting until
the stack overflows. If two parsers read different values from one text, a check on one can be bypassed.
"""

import json
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from math import isfinite
from typing import Any, Final, NoReturn

from app.quoting import quote

MAX_DEPTH: Final = 32  # nested arrays and objects
MAX_ITEMS: Final = 5_000  # members and items in one text; the largest valid batch has 3,001
MAX_DIGITS: Final = 309  # of an integer: a double has no more (RFC 7493 §2.2), and more take long to read
_QUOTES: Final = 4  # quotation marks of a member at most: two of its name, two of a string
_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NOT_SQUARE: Final = bytes(set(range(256)) - set(b"[]"))
_TOO_MANY: Final = f"it has more than {MAX_ITEMS:,} members and items, side by side or nested"


class NotStrictJson(ValueError):
    """The text is not strict JSON; the message says why."""


class PartTooLong(ValueError):
    """A part of the text is too long to be parsed in one go."""


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
    if data.startswith(BOM_UTF8):
        raise NotStrictJson("it begins with a byte order mark: send UTF-8 without one")
    text = _text_of(data)
    try:
        value = _DECODER.decode(text)
        if b"\\ud" in data or b"\\uD" in data:
            _ENCODER.encode(value).encode("utf-8")  # fails for a lone surrogate from an escape
    except UnicodeEncodeError:
        raise NotStrictJson("a string holds half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"{error.msg}, at line {error.lineno} column {error.colno}") from None
    return value


def _text_of(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotStrictJson(f"byte {error.start} is not UTF-8") from None


Span = tuple[int, int]
"""Where a part of a text begins and ends."""


async def loads_in_slices(data: bytes, pause: Callable[[], Awaitable[None]], *, part_max: int) -> object:
    """Parse one JSON text as `loads` does, and call `pause` again and again, so that other work runs.

    The items of arrays in the outer object are parsed one by one, and then the text around them, with a `0`
    in the place of each item. With one valid value in the place of another, an invalid text stays invalid.

    Raises:
        NotStrictJson: as `loads` raises it for the whole text.
        PartTooLong: an item, or the text around the items, has more than `part_max` bytes.
    """
    spans: list[Span] = []
    items = []
    for begin, end in _items(data, part_max):
        try:
            items.append(loads(data[begin:end], max_depth=MAX_DEPTH - ITEM_DEPTH))
        except NotStrictJson:
            _raise_with_place(data[:end] + b"]}", spans)  # the array and the outer object end here
        spans.append((begin, end))
        await pause()
    try:
        outline = loads(_replace_items(spans, data))
    except NotStrictJson:
        _raise_with_place(data, spans)
    in_order = iter(items)
    for member in outline.values() if isinstance(outline, dict) else ():
        if isinstance(member, list):
            member[:] = [next(in_order) for _ in member]
    return outline


ITEM_DEPTH: Final = 2  # brackets around an item of an array in the outer object
_WHITESPACE: Final = b" \t\n\r"
_CLOSING: Final = b"]}"
_DEPTH_CHANGE: Final = {b"[": 1, b"{": 1, b",": 0, b"]": -1, b"}": -1}
_TO_SIGN: Final = re.compile(
    rb'[^"\[\]{},]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{},]*+)*+[\[\]{},]', re.DOTALL
)
"""The text up to the next bracket or comma outside strings. Possessive, so it takes linear time."""


def _items(data: bytes, part_max: int) -> Iterator[Span]:
    """Find the items of the arrays in the outer object, without parsing them."""
    depth = count = begin = end = item_bytes = 0  # `begin`: of the current item; `end`: of what was matched
    in_array = False
    while match := _TO_SIGN.match(data, end, begin + part_max + 1):
        end = match.end()
        sign = data[end - 1 : end]
        was_in_array = in_array
        depth += _DEPTH_CHANGE[sign]
        count += sign not in _CLOSING
        if count > MAX_ITEMS:
            raise NotStrictJson(_TOO_MANY)
        in_array = depth >= ITEM_DEPTH and (in_array or (sign == b"[" and depth == ITEM_DEPTH))
        if was_in_array:
            if depth > ITEM_DEPTH or (depth == ITEM_DEPTH and sign != b","):
                continue  # the item goes on
            first, after = _strip(data, begin, end - 1)
            if first < after:
                item_bytes += after - first
                yield first, after
        begin = end
        is_no_object = sign == b"[" and depth < ITEM_DEPTH
        if depth <= 0 or is_no_object or end - item_bytes > part_max:
            break
    if len(data) - item_bytes > part_max:
        raise PartTooLong


def _strip(data: bytes, begin: int, end: int) -> Span:
    part = data[begin:end].rstrip(_WHITESPACE)
    return begin + len(part) - len(part.lstrip(_WHITESPACE)), begin + len(part)


def _replace_items(spans: Sequence[Span], data: bytes, *, padded: bool = False) -> bytes:
    """Return a text with `0` for each of its items. `padded`: all other characters keep line and column."""
    parts: list[bytes] = []
    last = 0
    for begin, end in spans:
        parts += data[last:begin], b"0"
        if padded:
            parts.append(data[begin:end].translate(_BLANK, _CONTINUATION)[1:])
        last = end
    return b"".join([*parts, data[last:]])


_CONTINUATION: Final = bytes(range(0x80, 0xC0))  # UTF-8's bytes of a character after the first
_BLANK: Final = bytes(byte if byte in b"\n" else ord(" ") for byte in range(256))  # keeps line numbers


def _raise_with_place(data: bytes, valid: Sequence[Span]) -> NoReturn:
    """Raise NotStrictJson for a text whose error is outside these items."""
    _text_of(data)
    loads(_replace_items(valid, data, padded=True))
    raise AssertionError("a part of the text is not JSON, but the whole text is")


def _refuse_costly(data: bytes, max_depth: int) -> None:
    """Raise NotStrictJson if there are too many members and items outside strings, or too deep ones.

    It works in whole passes over the bytes: a regular expression over strings can be made to take hours. The
    decoder is not called for such a text: it makes an object of each value, which takes half a second in one
    call for two megabytes of values.
    """
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    if unescaped.count(b'"') > _QUOTES * (MAX_ITEMS + 1):
        raise NotStrictJson(_TOO_MANY)
    outside = b"".join(unescaped.split(b'"')[::2])  # every other part is a string
    opening = outside.count(b"[") + outside.count(b"{")
    if opening + outside.count(b",") > MAX_ITEMS:
        raise NotStrictJson(_TOO_MANY)
    brackets = outside.translate(_TO_SQUARE).translate(None, _NOT_SQUARE)
    if len(brackets) == 2 * opening:  # otherwise a bracket has no partner, and the text is refused below
        for _ in range(max_depth):  # each round removes the innermost pairs
            brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise NotStrictJson(f"arrays and objects are nested deeper than {max_depth}, or not closed")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise NotStrictJson(f"an object names the member `{quote(twice)}` twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
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
    object_pairs_hook=_members, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_float
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)
