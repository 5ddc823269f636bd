"""Where a page begins, as an opaque string."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from app.domain.page import Bookmark
from app.domain.task import TaskId

_CURSOR = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]", re.ASCII)  # sixteen bytes; the last character holds two bits


def write(position: Bookmark) -> str:
    """Write a position for a `Link`."""
    return urlsafe_b64encode(position.bytes).decode().rstrip("=")


def read(cursor: str) -> Bookmark:
    """Read what `write` wrote.

    Raises:
        ValueError: it was not written here.

    """
    if not _CURSOR.fullmatch(cursor):
        raise ValueError("is not a cursor that this service gave out")
    return Bookmark(TaskId(UUID(bytes=urlsafe_b64decode(cursor + "=="))))
