"""Values that are valid or almost valid: they pass more checks than random bytes, and so find more errors."""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T", str, bytes)

STRANGE_TEXT = (
    *("\0", "\n", "\r\n", "\x7f", "\x9f", "\xff", "\ud800", "\ufeff", "\u2028", "İ", "ß", "🌱", "e\u0301"),
    *("%", "%00", "%ff", "%2F", "%zz", "..", "/", "\\", '"', "'", ",", ";", "=", "&", "+", "*", " ", "\t"),
    *("-1", "0", "1e999", "9" * 30, "1_0", "١", "NaN", "null", "true", "[" * 40, "x" * 300),
)
STRANGE_BYTES = (
    *(text.encode("utf-8", "surrogatepass") for text in STRANGE_TEXT),
    *(
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\\u0000",
        b"{",
        b"}",
        b"]",
        b":",
        b"NaN",
        b"1e999",
    ),
)

texts = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(STRANGE_TEXT)
binaries = st.binary(max_size=8) | st.sampled_from(STRANGE_BYTES)


CHANGES = ("put in", "put in", "take out", "double", "repeat the end")  # "put in" is drawn most often
changes = st.sampled_from(CHANGES)


@st.composite
def changed(draw: st.DrawFn, good: T, pieces: st.SearchStrategy[T], *, most: int = 3) -> T:
    """Draw the good value, unchanged or with up to `most` parts replaced, removed or doubled.

    All draws share the strategy `changes`: a strategy made for each draw would take most of the time.
    """
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(good)))
        end = min(len(good), start + draw(st.integers(0, 12)))
        match draw(changes):
            case "put in":
                piece = draw(pieces)
            case "take out":
                piece = good[:0]
            case "double":
                piece = good[start:end] * 2
            case _:
                piece = good[end:]
        good = good[:start] + piece + good[end:]
    return good


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 2**63, -(2**63), 10**30, 1e308, -0.0, 0.5])
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def objects_near(good: Sequence[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy: one of these objects, with up to three members changed, removed or added."""
    objects = st.sampled_from(good)
    names = st.sampled_from(sorted({name for each in good for name in each})) | texts
    values = json_values | st.sampled_from([value for each in good for value in each.values()])

    @st.composite
    def near(draw: st.DrawFn) -> dict[str, Any]:
        value = dict(draw(objects))
        for _ in range(draw(st.integers(0, 3))):
            name = draw(names)
            if draw(st.booleans()):
                value.pop(name, None)
            else:
                value[name] = draw(values)
        return value

    return near()


def json_near(good: Sequence[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    """Return a strategy: the JSON of `objects_near`; in half of the cases its bytes are changed as well."""
    objects = objects_near(good)

    @st.composite
    def near(draw: st.DrawFn) -> bytes:
        raw = json.dumps(draw(objects), ensure_ascii=draw(st.booleans()))
        written = raw.encode("utf-8", "surrogatepass")
        return draw(changed(written, binaries)) if draw(st.booleans()) else written

    return near()
