"""Time, as the domain counts it."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

Clock = Callable[[], datetime]
"""Returns the present moment, aware and in UTC."""

utc_now: Final[Clock] = partial(datetime.now, UTC)


def to_rfc3339(moment: datetime) -> str:
    """Write an aware moment (RFC 3339, UTC), always to the microsecond: texts sort as moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
