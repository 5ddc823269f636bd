"""Counts of tasks, in a person's time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

SUMMARY_TAGS_MAX: Final = 1_000  # without a limit, a person could have 20 different tags for each task
NOT_OF_A_PLACE: Final = frozenset({"localtime", "Factory"})  # the server's own zone, and "not configured"
all_zones = lru_cache(available_timezones)  # cached: it reads hundreds of files


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
    """The numbers of a person's tasks that are not in the trash."""

    open: int
    done: int
    overdue: int  # open tasks; a task due on a day is overdue from the next local midnight
    due_today: int  # open tasks; a task whose time has passed is also counted as overdue
    tags: tuple[TagCount, ...]  # sorted by `tag_key`; at most SUMMARY_TAGS_MAX, with the most open tasks
    tags_left_out: int  # the number of further tags


def zone_of(name: str) -> ZoneInfo:
    """Return a zone of the IANA time zone database; raise ValueError if there is no such zone."""
    if name in NOT_OF_A_PLACE or name not in all_zones():
        raise ValueError("must be the name of a time zone, like Europe/Berlin (IANA time zone database)")
    return ZoneInfo(name)
