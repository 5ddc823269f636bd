"""One text, one meaning."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.strict_json import MAX_DEPTH, NotStrictJson, loads

REFUSED = {
    "nothing": b"",
    "not UTF-8": b'"\xff"',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a":1}'.encode("utf-16-le"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a member twice": b'{"a":1,"a":2}',
    "a member twice, deep": b'[{"b":{"a":1,"\\u0061":2}}]',
    "NaN": b"NaN",
    "Infinity": b"[Infinity]",
    "minus Infinity": b"-Infinity",
    "an overflow": b"1e999",
    "five thousand digits": b"1" * 5000,
    "half a pair": b'"\\ud800"',
    "the other half": b'"\\udc00x"',
    "halves in the wrong order": b'"\\udc00\\ud800"',
    "half a pair as a name": b'{"\\ud800":1}',
    "half a pair, raw": b'"\xed\xa0\x80"',
    "too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "far too deep": b"[" * 1_000_000,
    "far too deep an object": b'{"a":' * 100_000,
    "two texts": b"{}{}",
    "a comma too many": b"[1,]",
    "single quotes": b"{'a':1}",
    "a raw control character": b'"\x01"',
    "a leading zero": b"01",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_two_readers_may_understand_differently_is_refused(text: bytes) -> None:
    with pytest.raises(NotStrictJson) as raised:
        loads(text)

    assert str(raised.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b" {} ", {}),
        (b'"\\ud83c\\udf31"', "🌱"),
        ('"🌱"'.encode(), "🌱"),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b'"' + b"[" * 100 + b'"', "[" * 100),
        (b'["' + b'\\"[' * 100 + b'"]', ['"[' * 100]),
        (b"1e2", 100.0),
        (b"-0", 0),
        (b"[" + b"[]," * 100 + b"1]", [[]] * 100 + [1]),
    ],
    ids=str,
)
def test_what_is_plain_is_read(text: bytes, value: Any) -> None:
    read = loads(text)

    assert value is None or read == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=json_values, ascii_only=st.booleans())
def test_whatever_json_writes_is_read_as_it_was(value: Any, ascii_only: bool) -> None:  # noqa: FBT001
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode(), max_depth=1000) == value


@given(text=st.binary(max_size=60))
def test_any_bytes_are_read_as_another_reader_does_or_refused(text: bytes) -> None:
    try:
        value = loads(text)
    except NotStrictJson:
        return

    assert json.loads(text) == value
