"""Positions in the manual order: strings that sort by code point.

Between two different positions there is room for a third, so a move writes only the moved task. A position
never ends in `0`, because there is no string between `a` and `a0`.

Positions become longer if tasks are moved to the same place again and again. Before a position would become
too long, the tasks around the place are spread: they get new positions with equal gaps (`REACHES`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import random
from typing import Final, NewType

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MICROSECOND: Final = timedelta(microseconds=1)

Position = NewType("Position", str)
"""Digits of base 62, the last of them not `0`."""

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
POSITION_MAX: Final = 200  # characters
CROWDED: Final = 140  # characters: if a moved task would need a longer position, tasks are spread
REACHES: Final = ((64, 100), (1_024, POSITION_MAX), (10_000_000, POSITION_MAX))
"""Each entry: how many tasks on each side of a place are spread, and the longest new position in characters.

An entry is tried only if the entry before it gives no room. With 1,024 tasks on each side, new positions are
at most three characters longer than the positions at both ends. Those have at most CROWDED characters, unless
more than 1,024 tasks were moved between them. So a move writes at most 2,050 tasks, unless a client moved
20,000 tasks on purpose into one narrow place.
"""
TIME_DIGITS: Final = 14  # leading digits, from the time of a new task
_NOT_ZERO: Final = DIGITS[1:]
_MIDDLE: Final = DIGITS[len(DIGITS) // 2]
HORIZON: Final = 2**56 - 1  # microseconds: the year 4253
_RANDOM_DIGITS: Final = 4  # so that two tasks of one microsecond, or two racing moves, differ


def position_of_new(now: datetime) -> Position:
    """Return a position before those of all older tasks: the time until HORIZON, which only shrinks."""
    return Position(f"{max(1, HORIZON - microseconds_since_epoch(now)):0{TIME_DIGITS}x}{_random_digits()}")


def between(low: Position | None, high: Position | None, now: datetime) -> Position | None:
    """Return a position between two; None if there is no room. A bound of None is an end of the list.

    At an end of the list the step is small, so that later new tasks still come first and strings do not grow.
    """
    if high is None:
        return position_of_new(now) if low is None else Position(_step(low, 1) + _random_digits())
    if low is None:
        newest = position_of_new(now)
        return newest if newest < high else Position(_step(high, -1) + _random_digits())
    if low >= high:
        return None
    middle = _middle(low, high)
    while high.startswith(middle):  # else the random digits after it might exceed `high`
        middle += _middle("", high[len(middle) :])
    found = Position(middle + _random_digits())
    return found if len(found) <= CROWDED else None


def spread(count: int, low: Position, high: Position, *, longest: int) -> Sequence[Position] | None:
    """Return `count` positions between two, with equal gaps; None if they would be longer than `longest`."""
    if low >= high:
        return None
    for length in range(1, longest):
        least = _number(low, length)
        step = (_number(high, length) - least) // (count + 1)
        if step:
            return [Position(_digits(least + step * rank, length) + _MIDDLE) for rank in range(1, count + 1)]
    return None


def _middle(low: str, high: str | None) -> str:
    """Return digits above `low` and not above `high`. They may be a prefix of `high`."""
    if high:
        shared = 0
        while shared < len(high) and (low[shared : shared + 1] or DIGITS[0]) == high[shared]:
            shared += 1
        if shared:
            return high[:shared] + _middle(low[shared:], high[shared:])
    least = DIGITS.index(low[0]) if low else 0
    most = DIGITS.index(high[0]) if high else len(DIGITS)
    if most - least > 1:
        return DIGITS[(least + most) // 2]
    if high and len(high) > 1:
        return high[0]
    return DIGITS[least] + _middle(low[1:], None)


def _step(position: Position, step: int) -> str:
    """Return the leading digits of a position (its time), plus `step`."""
    return _digits(max(0, _number(position, TIME_DIGITS) + step), TIME_DIGITS)


def _number(position: Position, length: int) -> int:
    """Return the first `length` digits of a position as a number of base 62."""
    number = 0
    for digit in position[:length].ljust(length, DIGITS[0]):
        number = number * len(DIGITS) + DIGITS.index(digit)
    return number


def _digits(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, rest = divmod(number, len(DIGITS))
        digits = DIGITS[rest] + digits
    return digits


def _random_digits() -> str:
    """Return random digits without `0`, because a position must not end in `0`."""
    number = int(random() * len(_NOT_ZERO) ** _RANDOM_DIGITS)  # noqa: S311 - no secret
    digits = ""
    for _ in range(_RANDOM_DIGITS):
        number, rest = divmod(number, len(_NOT_ZERO))
        digits += _NOT_ZERO[rest]
    return digits


def microseconds_since_epoch(moment: datetime) -> int:
    """Return whole microseconds since 1970-01-01 UTC."""
    return (moment - EPOCH) // _MICROSECOND
