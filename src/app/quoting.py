"""Quotes what a client sent, in messages and log lines."""

from typing import Final

QUOTED_MAX: Final = 100  # characters


def quote(sent: str) -> str:
    """Return at most QUOTED_MAX characters of a text. Characters that are not printable are escaped.

    The result is safe in a log line and on a terminal, and can be encoded as UTF-8: even half of a surrogate
    pair is escaped.
    """
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in sent[:QUOTED_MAX]
    )
    return f"{shown}…" if len(sent) > QUOTED_MAX else shown
