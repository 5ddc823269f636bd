"""Due dates: a day, or an exact time."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from app.domain.clock import to_rfc3339

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_WITHOUT_OFFSET: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?", re.ASCII)
YEAR_MIN, YEAR_MAX = 1000, 9998  # the driver stores `datetime.min` and `datetime.max` as infinity
NO_DATE_OR_TIME: Final = (
    "must be a date like 2026-01-31, or a date-time with its offset like 2026-01-31T17:00:00+01:00 (RFC 3339)"
)
NO_OFFSET: Final = "has no time zone; add one, as in 2026-12-01T09:00:00Z or 2026-12-01T09:00:00+01:00"


@dataclass(frozen=True, slots=True)
class Due:
    """A day without a time zone, or an exact time. For sorting and filters a day is its start in UTC."""

    at: datetime  # aware, UTC, to the microsecond
    whole_day: bool

    @classmethod
    def parse(cls, text: str) -> "Due":
        """Read a full-date or a date-time of RFC 3339 §5.6. The fraction is cut off after six digits.

        Raises:
            ValueError: the text is neither, names no offset, has a fraction of more than nine digits, does
                not exist, or is outside the years YEAR_MIN to YEAR_MAX.
        """
        parts = _MOMENT.fullmatch(text)
        if not parts and not _DAY.fullmatch(text):
            raise ValueError(NO_OFFSET if _WITHOUT_OFFSET.fullmatch(text) else NO_DATE_OR_TIME)
        try:
            if parts:
                day, clock, fraction, offset = parts.groups()
                moment = datetime.fromisoformat(f"{day}T{clock}{(fraction or '')[:7]}{offset.upper()}")
                due = cls(moment.astimezone(UTC), whole_day=False)
            else:
                due = cls(datetime.combine(date.fromisoformat(text), time(), UTC), whole_day=True)
        except (ValueError, OverflowError):
            raise ValueError("is a day or moment that does not exist") from None
        if not YEAR_MIN <= due.at.year <= YEAR_MAX:
            raise ValueError(f"must lie in the years {YEAR_MIN} to {YEAR_MAX}")
        return due

    def __str__(self) -> str:
        """Return the text that `parse` reads; a time is in UTC."""
        if self.whole_day:
            return self.at.date().isoformat()
        return to_rfc3339(self.at)
