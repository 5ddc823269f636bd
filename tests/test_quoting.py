"""A client's text in a message or a log line is cut, and has no control characters."""

import pytest

from app.quoting import QUOTED_MAX, quote


@pytest.mark.parametrize(
    ("sent", "quoted"),
    [
        ("", ""),
        ("plain text", "plain text"),
        ("žluťoučký 🌱", "žluťoučký 🌱"),
        ("a\nb\x1b[31m\x9b\x00", "a\\nb\\x1b[31m\\x9b\\x00"),
        ("\u202eright to left", "\\u202eright to left"),
        ("\ud800", "\\ud800"),
        ("x" * QUOTED_MAX, "x" * QUOTED_MAX),
        ("x" * (QUOTED_MAX + 1), "x" * QUOTED_MAX + "…"),
    ],
)
def test_characters_that_are_not_printable_are_escaped_and_a_long_text_is_cut(sent: str, quoted: str) -> None:
    assert quote(sent) == quoted
    quote(sent).encode()  # half a surrogate pair would raise an error here
