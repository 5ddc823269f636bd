"""The clock of the domain, and the format of times."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

Clock = Callable[[], datetime]
"""Returns the current time, aware and in UTC."""

utc_now: Final[Clock] = partial(datetime.now, UTC)


def to_rfc3339(moment: datetime) -> str:
    """Format an aware time (RFC 3339, UTC), always with microseconds, so that texts sort by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
