"""Counts of tasks, in the time zone of a person."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

NO_PLACES: Final = frozenset({"localtime", "Factory"})  # in the files of the database, and no zone of a place
ZONES = lru_cache(available_timezones)  # it looks at hundreds of files


@dataclass(frozen=True, slots=True)
class Day:
    """A moment, and its day in a time zone. A day may have 23 or 25 hours."""

    now: datetime
    date: date
    start: datetime
    end: datetime

    @classmethod
    def at(cls, now: datetime, zone: ZoneInfo) -> "Day":
        """Return the day in a zone. If daylight saving skips its midnight, it begins when the clock jumps."""
        today = now.astimezone(zone).date()
        start, end = (
            datetime.combine(day, time(), zone).astimezone(UTC) for day in (today, today + timedelta(days=1))
        )
        return cls(now, today, start, end)


@dataclass(frozen=True, slots=True)
class TagCount:
    """How many tasks have a tag, in any spelling."""

    tag: str  # in one of the spellings that it has: the first by code point
    open: int
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many tasks a person has, those in the trash left out."""

    open: int
    done: int
    overdue: int  # open ones; a whole-day task is overdue from the next local midnight
    due_today: int  # open ones; a time that has passed today counts as overdue too
    tags: tuple[TagCount, ...]  # in the order of their keys


def zone_of(name: str) -> ZoneInfo:
    """Return the zone of a name of the IANA time zone database.

    Raises:
        ValueError: there is none.

    """
    if name in NO_PLACES or name not in ZONES():
        raise ValueError("must be the name of a time zone, like Europe/Berlin (IANA time zone database)")
    return ZoneInfo(name)
