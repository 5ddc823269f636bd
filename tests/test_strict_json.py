"""Strict JSON: each text has one meaning, and no text takes long to read."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.event_loop import TimeSlice
from app.strict_json import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_ITEMS,
    NotStrictJson,
    PartTooLong,
    loads,
    loads_in_slices,
)

DEEP = MAX_DEPTH + 1
REFUSED = {
    "nothing": (b"", "Expecting value"),
    "not UTF-8": (b'"\xff"', "not UTF-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "not UTF-8"),
    "UTF-16 without a mark": ('{"a":1}'.encode("utf-16-le"), "Expecting"),
    "UTF-32": ('{"a":1}'.encode("utf-32-be"), "Expecting"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
    "a member twice": (b'{"b":0,"a":1,"c":2,"a":3}', "the member `a` twice"),
    "a member twice, deep and escaped": (b'[{"b":{"a":1,"\\u0061":2}}]', "the member `a` twice"),
    "a member twice whose name is half a pair": (b'{"\\ud800":1,"\\ud800":2}', r"the member `\\ud800` twice"),
    "a member twice with a long name": (b'{"%b":1,"%b":2}' % (b"x" * 999, b"x" * 999), "`x{100}…` twice"),
    "NaN": (b"NaN", "not a JSON number"),
    "Infinity": (b"[Infinity]", "not a JSON number"),
    "minus Infinity": (b"-Infinity", "not a JSON number"),
    "an overflow": (b"1e999", "too large"),
    "five thousand digits": (b"1" * 5000, "too many digits"),
    "one digit too many": (b"1" * (MAX_DIGITS + 1), "too many digits"),
    "half a pair": (b'"\\ud800"', "half of a surrogate pair"),
    "half a pair, in capitals": (b'"\\uD800"', "half of a surrogate pair"),
    "the other half": (b'"\\udc00x"', "half of a surrogate pair"),
    "halves in the wrong order": (b'"\\udc00\\ud800"', "half of a surrogate pair"),
    "half a pair as a name": (b'{"\\ud800":1}', "half of a surrogate pair"),
    "half a pair, deep": (b'[[{"a":["\\udfff"]}]]', "half of a surrogate pair"),
    "half a pair, raw": (b'"\xed\xa0\x80"', "not UTF-8"),
    "a pair as two raw halves": (b'"\xed\xa0\xbd\xed\xb8\x80"', "not UTF-8"),
    "too deep": (b"[" * DEEP + b"]" * DEEP, "nested"),
    "too deep an object": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "nested"),
    "too deep after a string of brackets": (b'["]\\"]",' * DEEP + b"1" + b"]" * DEEP, "nested"),
    "far too deep": (b"[" * 1_000_000, "nested"),
    "far too deep an object, open": (b'{"a":' * 100_000, "nested"),
    "too many items": (b"[" + b"0," * MAX_ITEMS + b"0]", "more than 5,000 members and items"),
    "too many members": (
        b"{" + b",".join(b'"%d":0' % number for number in range(MAX_ITEMS + 1)) + b"}",
        "more than 5,000 members and items",
    ),
    "too many empty objects": (
        b"[" + b"{}," * (MAX_ITEMS // 2) + b"0]",
        "more than 5,000 members and items",
    ),
    "far too many strings": (b"[" + b'"",' * 700_000 + b"0]", "more than 5,000 members and items"),
    "two texts": (b"{}{}", "Extra data"),
    "a comma too many": (b"[1,]", "Expecting|Illegal"),
    "single quotes": (b"{'a':1}", "Expecting"),
    "a raw control character": (b'"\x01"', "control character"),
    "a leading zero": (b"01", "Extra data"),
    "a comment": (b"{}//", "Extra data"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_a_text_that_is_not_strict_json_is_refused_with_the_reason(text: bytes, why: str) -> None:
    with pytest.raises(NotStrictJson, match=why) as raised:
        loads(text)

    assert str(raised.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b" {} ", {}),
        (b'"\\ud83c\\udf31"', "🌱"),
        ('"🌱"'.encode(), "🌱"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"' + b"[" * 100 + b'"', "[" * 100),
        (b'["' + b'\\"[' * 100 + b'"]', ['"[' * 100]),
        (b'["\\\\",' + b"[]," * 100 + b'"\\\\"]', ["\\", *([[]] * 100), "\\"]),
        (b"[" + b"{}," * 100 + b"1]", [{}] * 100 + [1]),
        (b"[" + b"0," * (MAX_ITEMS - 1) + b"0]", [0] * MAX_ITEMS),
        (b'["' + b'[{,\\"' * MAX_ITEMS + b'"]', ['[{,"' * MAX_ITEMS]),
        (b"1e2", 100.0),
        (b"-0", 0),
        (b"9" * MAX_DIGITS, int("9" * MAX_DIGITS)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_plain_json_is_read(text: bytes, value: Any) -> None:
    assert loads(text) == value


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.sampled_from('[]{}"\\u d8🌱')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.sampled_from('[]{}"\\')), inner),
    max_leaves=30,
)


def depth(value: Any) -> int:
    """Return how deeply arrays and objects are nested."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(value=json_values, ascii_only=st.booleans())
def test_json_round_trips(value: Any, ascii_only: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert loads(text, max_depth=100) == value


@given(value=json_values, limit=st.integers(0, 6))
@example(value=[[], [[]], {"a": {"b": []}}], limit=2)
@example(value=[[], [[]], {"a": {"b": []}}], limit=4)
def test_json_is_refused_only_if_it_is_nested_too_deeply(value: Any, limit: int) -> None:
    text = json.dumps(value).encode()

    if depth(value) <= limit:
        assert loads(text, max_depth=limit) == value
    else:
        with pytest.raises(NotStrictJson, match="nested"):
            loads(text, max_depth=limit)


@given(text=st.binary(max_size=60) | st.text('{}[]",:\\u0d8e-19tnf ', max_size=40).map(str.encode))
def test_any_bytes_are_refused_or_read_as_the_standard_library_reads_them(text: bytes) -> None:
    try:
        value = loads(text)
    except NotStrictJson:
        return

    assert json.loads(text) == value


HALF_BODY = 128 * 1024  # bytes: half of the largest body
LONG = {
    "quotes that are escaped, then brackets": b'"' + b'\\"' * HALF_BODY + b"[" * 33,
    "brackets, then quotes that are escaped": b"[" * 33 + b'"' + b'\\"' * HALF_BODY,
    "many short strings, one after the other": b'"a' * HALF_BODY + b"[" * 33,
    "backslashes": b"[" * 33 + b'"' + b"\\" * 2 * HALF_BODY,
    "brackets that open": b"[" * 2 * HALF_BODY,
    "brackets that open and close": b"[" * HALF_BODY + b"]" * HALF_BODY,
    "brackets in pairs": b"[" + b"[]," * (2 * HALF_BODY // 3) + b"0]",
    "half pairs": b'"' + b"\\ud83c\\udf31" * (2 * HALF_BODY // 12) + b'\\ud800"',
    "members": b"{" + b",".join(b'"%d":0' % number for number in range(MAX_ITEMS)) + b',"0":0}',
    "long numbers": b"[" + b",".join([b"9" * MAX_DIGITS] * 840) + b"]",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_any_body_of_256_kb_is_read_or_refused_quickly(text: bytes) -> None:
    began = time.process_time()

    with suppress(NotStrictJson):
        loads(text)

    assert time.process_time() - began < 0.5  # seconds; a backtracking pattern took four minutes


def in_slices(text: bytes, part_max: int = 10**7) -> object:
    """Read a text as a batch is read: in slices, between which other work runs."""
    return asyncio.run(loads_in_slices(text, TimeSlice().yield_to_others, part_max=part_max))


def verdict(read: Any, text: bytes) -> Any:
    """Return the value, or `NotStrictJson` if the text is refused.

    The message is left out: if a text has two errors, the two readers may report different ones.
    """
    try:
        return read(text)
    except NotStrictJson:
        return NotStrictJson


IN_ITEM = b'{"a": [1,\n {"b": "\xc3\xa9\\"]"}, %b, 3 ]}'


@pytest.mark.parametrize("name", REFUSED)
def test_an_item_that_is_read_in_slices_is_refused_with_the_same_message_and_place(name: str) -> None:
    text = IN_ITEM % REFUSED[name][0]

    with pytest.raises(NotStrictJson) as whole:
        loads(text)
    with pytest.raises(NotStrictJson) as sliced:
        in_slices(text)

    assert str(sliced.value) == str(whole.value)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": [1, 2], "a": [3]}',
        '{"a": ["é"],\n "b" [1]}'.encode(),
        '{"a": ["é", {"b":1}], "b": [1, {"c": '.encode(),
        b'{"a": [1, ["x"]}',
        b'{"a": [, 1]}',
        b'{"a": [1]} [2]',
        b'{"a": [1]]}',
        b'{"a": ["\xc3\xa9"], "b": \xff}',
    ],
)
def test_an_error_outside_the_items_has_its_place_in_the_whole_text(text: bytes) -> None:
    with pytest.raises(NotStrictJson) as whole:
        loads(text)
    with pytest.raises(NotStrictJson) as sliced:
        in_slices(text)

    assert str(sliced.value) == str(whole.value)


@given(value=st.dictionaries(st.text(st.sampled_from('[]{}"\\')), json_values), ascii_only=st.booleans())
@example(value={"a": [], "b": [[1], {"c": [2]}], "d": {"e": [3]}}, ascii_only=True)
def test_reading_in_slices_gives_the_same_value(value: Any, ascii_only: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert verdict(in_slices, text) == verdict(loads, text)


@given(text=st.binary(max_size=60) | st.text('{}[]",:\\u0d8e-1', max_size=40).map(str.encode))
@example(text=b"[[1,2],[3]]")
@example(text=b'{"a":[1 2]}')
@example(text=b'{"a":[\x0b1]}')
def test_any_bytes_give_the_same_result_in_slices_as_at_once(text: bytes) -> None:
    for whole in (text, b'{"a":[' + text + b"]}"):
        assert verdict(in_slices, whole) == verdict(loads, whole)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":["%b"]}' % (b"x" * 99),
        b'{"a":[1,[%b0]]}' % (b"0," * 49),
        b'{"a":[1],"%b":[1]}' % (b"x" * 87),
        b'{"a":[1]%b}' % (b" " * 93),
        b'{"a":[1]}' + b" " * 93,
        b'["%b"]' % (b"x" * 97),
        b'["%b' % (b"x" * 99),
    ],
)
def test_a_part_that_is_one_byte_too_long_is_refused_and_one_byte_less_is_accepted(text: bytes) -> None:
    with pytest.raises(PartTooLong):
        in_slices(text, 100)

    with suppress(NotStrictJson):
        in_slices(text, 101)


async def test_other_work_runs_between_two_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.event_loop.SLICE", 0)
    monkeypatch.setattr("app.event_loop.PAUSE", 0)
    text = b'{"a":[%b0]}' % (b"0," * 99)
    reading = asyncio.create_task(loads_in_slices(text, TimeSlice().yield_to_others, part_max=1_000))

    rounds = 0
    while not reading.done():
        await asyncio.sleep(0)
        rounds += 1

    assert rounds > 100


def seconds_of(text: bytes) -> float:
    """Return the lowest CPU time of three reads of a text, in seconds."""
    took = []
    for _ in range(3):
        began = time.process_time()
        with suppress(NotStrictJson):
            loads(text)
        took.append(time.process_time() - began)
    return min(took)


def test_two_megabytes_of_closing_brackets_take_less_than_four_times_as_long_as_a_string() -> None:
    closing = b"]" * (16 * HALF_BODY)

    assert seconds_of(b"[" * 100 + closing) < 4 * seconds_of(b'["' + closing + b'"]')
