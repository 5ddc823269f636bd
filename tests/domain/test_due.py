"""A due date stays a date; a date-time is kept as an instant in UTC."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.due import Due

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1001, 1, 1), datetime(9998, 1, 1), timezones=offsets)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-01-31", "2026-01-31"),
        ("2024-02-29", "2024-02-29"),
        ("2026-01-31T17:00:00Z", "2026-01-31T17:00:00.000000Z"),
        ("2026-01-31t17:00:00z", "2026-01-31T17:00:00.000000Z"),
        ("2026-01-31T17:00:00+01:00", "2026-01-31T16:00:00.000000Z"),
        ("2026-01-01T00:30:00+14:00", "2025-12-31T10:30:00.000000Z"),
        ("2026-01-31T17:00:00-00:00", "2026-01-31T17:00:00.000000Z"),
        ("2026-01-31T17:00:00.5Z", "2026-01-31T17:00:00.500000Z"),
        ("2026-01-31T17:00:00.123456789Z", "2026-01-31T17:00:00.123456Z"),
    ],
)
def test_dates_and_date_times_of_rfc_3339_are_read(text: str, stored: str) -> None:
    assert str(Due.parse(text)) == stored


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "tomorrow",
            "2026",
            "2026-01",
            "20260131",
            "2026-1-31",
            "2026-W05-6",
            " 2026-01-31",
            "2026-01-31\n",
        ),
        *("2026-01-31 17:00:00Z", "2026-01-31T17:00Z", "2026-01-31T17:00:00+0100"),
        *(
            "2026-01-31T17:00:00.Z",
            "2026-01-31T17:00:00.1234567890Z",
            "٢٠٢٦-01-31",
            "2026-01-31T17:00:00Zulu",
        ),
    ],
)
def test_text_that_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="with its offset"):
        Due.parse(text)


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T17:00", "2026-01-31T17:00:00", "2026-01-31 17:00:00", "2026-01-31T17:00:00.123456"],
)
def test_a_time_without_an_offset_is_refused_with_how_to_add_one(text: str) -> None:
    with pytest.raises(ValueError, match="has no time zone; add one, as in 2026-12-01T09:00:00Z"):
        Due.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29",
        "2026-13-01",
        "2026-01-00",
        "2026-01-31T24:00:00Z",
        "2026-01-31T17:00:60Z",
        "2026-01-31T17:00:00+24:00",
    ],
)
def test_a_date_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        Due.parse(text)


@pytest.mark.parametrize("text", ["0001-01-01", "0999-12-31", "9999-12-31", "9999-12-31T23:59:59.999999Z"])
def test_a_date_outside_the_supported_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="years 1000 to 9998"):
        Due.parse(text)


@given(moments)
def test_a_date_time_with_any_offset_is_returned_as_the_same_instant_in_utc(moment: datetime) -> None:
    due = Due.parse(moment.isoformat())

    assert due.at == moment
    assert str(due).endswith("Z")
    assert Due.parse(str(due)) == due


@given(st.text(max_size=40))
def test_any_text_is_read_as_a_date_or_refused(text: str) -> None:
    try:
        due = Due.parse(text)
    except ValueError:
        return
    assert Due.parse(str(due)) == due
