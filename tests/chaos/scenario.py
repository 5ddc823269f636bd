"""The rows of the table: each is a function that does a real fault, with what it allows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.faults.judging import Allowed
from tests.faults.scene import Scene

ROWS: "Final[dict[str, Row]]" = {}


@dataclass(frozen=True)
class Row:
    """One fault."""

    name: str
    title: str
    allowed: Allowed
    play: Callable[[Scene], None]


def row(
    title: str, allowed: Allowed, *, name: str = ""
) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Add a function to the table, under its own name."""

    def add(play: Callable[[Scene], None]) -> Callable[[Scene], None]:
        named = name or play.__name__.replace("_", "-")
        ROWS[named] = Row(named, title, allowed, play)
        return play

    return add
