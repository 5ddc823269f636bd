"""Counts of tasks, in a person's time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

TAGS_MAX: Final = 1_000  # tags in one summary; a person can have 20 different ones for each task
NO_PLACES: Final = frozenset({"localtime", "Factory"})  # no zones of a place
ZONES = lru_cache(available_timezones)  # reads hundreds of files


@dataclass(frozen=True, slots=True)
class Day:
    """A time, and its day in a time zone. A day may have 23 or 25 hours."""

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
    """The number of tasks with a tag, in any spelling."""

    tag: str  # one of its spellings: the first by code point
    open: int
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers of a person's tasks, without the trash."""

    open: int
    done: int
    overdue: int  # open; a task due on a day is overdue from the next local midnight
    due_today: int  # open; if its time has passed, the task is overdue too
    tags: tuple[TagCount, ...]  # sorted by key; those of the most open tasks, then of the most
    tags_left_out: int  # the number of further tags


def zone_of(name: str) -> ZoneInfo:
    """Return a zone of the IANA time zone database.

    Raises:
        ValueError: there is no such zone.
    """
    if name in NO_PLACES or name not in ZONES():
        raise ValueError("must be the name of a time zone, like Europe/Berlin (IANA time zone database)")
    return ZoneInfo(name)
