"""A person's own order: each task has a string, and strings sort by code point.

Between any two different strings there is room for a third, so a move writes the moved task only. A string
never ends in the lowest digit: below such a one there would be no room.
"""

import secrets
from datetime import datetime
from typing import Final, NewType

from app.domain.moments import microseconds_since_epoch

Position = NewType("Position", str)
"""Where a task stands: digits of base 62, the last of them not `0`."""

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
POSITION_MAX: Final = 200  # characters
_HORIZON: Final = 2**56 - 1  # microseconds: the year 4253
_UNIQUE: Final = 4  # digits that keep two tasks of one microsecond, or two racing moves, apart


def position_of_new(now: datetime) -> Position:
    """Return a position before all that was made earlier: what is left of time, which only shrinks."""
    return Position(f"{max(0, _HORIZON - microseconds_since_epoch(now)):014x}{unique_tail()}")


def unique_tail() -> str:
    """Return digits that nobody else has, most likely; the last is not the lowest."""
    return "".join(secrets.choice(DIGITS[1:]) for _ in range(_UNIQUE))
