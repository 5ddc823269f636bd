"""Time, as the domain counts it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

Clock = Callable[[], datetime]
"""Returns the present moment, aware and in UTC."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds_since_epoch(moment: datetime) -> int:
    """Return whole microseconds since 1970 began in UTC."""
    return (moment - EPOCH) // _MICROSECOND


def written(moment: datetime) -> str:
    """Write an aware moment (RFC 3339, UTC), always to the microsecond: texts sort as moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
