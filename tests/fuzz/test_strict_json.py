"""The strict parser accepts what Python's `json` accepts, except texts that two parsers may read differently."""

import json
from math import isfinite
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.strict_json import NotStrictJson, loads
from tests.fuzz.effort import effort
from tests.fuzz.near import binaries, changed, json_near

MAX_DEPTH = 6
GOOD = (
    {"title": "x", "description": None, "completed": True, "tags": ["a", "ä"], "n": -1.5e3},
    {"keys": [{"kty": "OKP", "x": {"y": [[{}]]}}], "\\": '"[{', "u": "\\ud83c\\udf31"},
)
SNIPPETS = b'{ } [ ] , : "a" "" \\u0041 \\ud83c\\udf31 \\udc00 0 -0 1e5 1E+2 .5 01 true null nul \xf0\x9f\x8c\xb1 \x01 \xff'


class DuplicateMember(Exception):
    """A member is named twice."""


def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members, or raise `DuplicateMember`."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise DuplicateMember
    return dict(pairs)


def is_plain(value: Any, depth: int = 0) -> bool:
    """Return whether every JSON parser can represent a value, and its depth is allowed."""
    match value:
        case dict():
            inner = [*value, *value.values()]
            return depth < MAX_DEPTH and all(is_plain(each, depth + 1) for each in inner)
        case list():
            return depth < MAX_DEPTH and all(is_plain(each, depth + 1) for each in value)
        case float():
            return isfinite(value)
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in value)
    return True


def read_by_json(data: bytes) -> Any:
    """Parse with Python's `json`, then check the result: slow but simple.

    Raises:
        ValueError, DuplicateMember, RecursionError: the bytes are not strict JSON.

    """
    value = json.loads(data.decode(), object_pairs_hook=make_object)
    if not is_plain(value):
        raise ValueError
    return value


@given(
    data=json_near(GOOD)
    | st.binary(max_size=40)
    | st.lists(st.sampled_from(SNIPPETS.split(b" ")), max_size=25).map(b"".join)
    | changed(b'{"a":[[[[{"b":1}]]]],"c":"[[[[[[["}', binaries)
)
@example(data=b'{"a":1,"a":1}')
@example(data=b"[[[[[[[]]]]]]]")
@example(data=b'"\\udc00\\ud800"')
@example(data=b"\xef\xbb\xbf{}")
@effort(600)
def test_any_bytes_are_read_as_by_json_of_python_or_refused(data: bytes) -> None:
    try:
        expected = read_by_json(data)
    except (ValueError, DuplicateMember, RecursionError):
        with pytest.raises(NotStrictJson) as refused:
            loads(data, max_depth=MAX_DEPTH)
        assert str(refused.value)
    else:
        assert repr(loads(data, max_depth=MAX_DEPTH)) == repr(expected)  # so that 1, 1.0 and true differ
