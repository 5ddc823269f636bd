"""The manual order: between any two positions a third one fits, and new tasks come first."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.position import DIGITS, POSITION_MAX, Position, between, position_of_new, spread
from tests.support.factories import NOON, later

positions = st.text(DIGITS, min_size=1, max_size=30).filter(lambda text: text[-1] != DIGITS[0]).map(Position)


@given(positions, positions)
def test_between_two_positions_there_is_a_third(one: Position, other: Position) -> None:
    low, high = sorted((one, other))
    if low == high:
        assert between(low, high, NOON) is None
        return

    middle = between(low, high, NOON)

    assert middle is not None
    assert low < middle < high
    assert middle[-1] != DIGITS[0]


@given(st.lists(st.integers(0, 10), min_size=1, max_size=60))
def test_moved_tasks_stay_in_place_and_the_next_new_task_still_comes_first(places: list[int]) -> None:
    order = [position_of_new(later(-number)) for number in range(5)]
    now = NOON + timedelta(seconds=1)
    for place in places:
        at = min(place, len(order))
        position = between(order[at - 1] if at else None, order[at] if at < len(order) else None, now)
        assert position is not None
        order.insert(at, position)

    assert order == sorted(order)
    assert len(set(order)) == len(order)
    assert position_of_new(now + timedelta(seconds=1)) < order[0]


def test_a_task_comes_first_even_if_the_clock_of_another_process_is_ahead() -> None:
    first = position_of_new(later(5))

    before = between(None, first, NOON)

    assert before is not None
    assert before < first
    assert position_of_new(later(6)) < before


def test_two_racing_moves_to_one_place_differ_and_leave_room_between_them() -> None:
    low, high = position_of_new(later(1)), position_of_new(NOON)

    one, other = sorted(position for _ in range(2) if (position := between(low, high, NOON)))

    assert low < one < other < high
    assert between(one, other, NOON) is not None


@pytest.mark.parametrize("half", ["low", "high", "random"])
def test_halving_a_gap_repeatedly_ends_before_positions_are_too_long(
    half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, count = random.Random(3), 0
    monkeypatch.setattr("app.domain.position.random", rng.random)  # the same numbers at each run
    low, high = position_of_new(later(1)), position_of_new(NOON)

    while position := between(low, high, NOON):
        count += 1
        assert len(position) <= POSITION_MAX
        if half == "low" or (half == "random" and rng.random() < 0.5):
            high = position
        else:
            low = position

    assert count > 500


@given(positions, positions, st.integers(1, 2_050))
def test_tasks_are_spread_in_order_between_two_positions_that_differ(
    one: Position, other: Position, count: int
) -> None:
    low, high = sorted((one, other))
    longest = max(len(low), len(high)) + 3

    found = spread(count, low, high, longest=longest)

    if low == high:
        assert found is None
        return
    assert found is not None
    assert [low, *found, high] == sorted({low, *found, high})
    assert len(found) == count
    assert max(map(len, found)) <= longest
    assert not any(position.endswith(DIGITS[0]) for position in found)


def test_tasks_are_not_spread_if_positions_would_be_too_long() -> None:
    low, high = Position("A" * 50 + "B"), Position("A" * 50 + "C")

    assert spread(100, low, high, longest=51) is None
    assert spread(100, low, high, longest=54) is not None
