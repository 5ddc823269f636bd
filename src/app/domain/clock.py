"""Time, as the domain counts it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present moment, aware and in UTC."""


def written(moment: datetime) -> str:
    """Write an aware moment (RFC 3339, UTC), always to the microsecond: texts sort as moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
