"""Whether anyone is there, and whether they can work."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.api.openapi import operations
from app.api.responses import PUBLIC

log = structlog.get_logger()

Part = Callable[[], Awaitable[str | None]]
"""Returns why a part cannot be used, or None."""

NOW: Final = {"cache-control": "no-store"}


@get("/health", opt=PUBLIC, **operations.HEALTH)
async def alive() -> Response[dict[str, str]]:
    """Answer, if the process does."""
    return Response({"status": "ok"}, headers=NOW)


def readiness(parts: Mapping[str, Part], *, optional: Mapping[str, Part]) -> HTTPRouteHandler:
    """Make the handler that asks every part. What the trouble is goes to the log, not to strangers.

    Requests can be served without an optional part, which logs its own trouble.
    """
    known: dict[str, str | None] = dict.fromkeys(parts)

    def note(part: str, reason: str | None) -> None:
        if reason != known[part]:  # said once: whoever asks, asks each second
            tell = log.warning if reason else log.info
            tell("part unavailable" if reason else "part available again", part=part, reason=reason)
            known[part] = reason

    @get("/health/ready", opt=PUBLIC, **operations.READY)
    async def ready() -> Response[dict[str, Any]]:
        """Answer 200 if requests can be served, else 503."""
        states = {}
        for name, trouble in parts.items():
            reason = await trouble()
            note(name, reason)
            states[name] = "ok" if reason is None else "unavailable"
        well = set(states.values()) <= {"ok"}
        for name, trouble in optional.items():
            states[name] = "ok" if await trouble() is None else "unavailable"
        return Response(
            {"status": "ok" if well else "unavailable", **states},
            status_code=200 if well else 503,
            headers=NOW if well else {**NOW, "retry-after": "1"},
        )

    return ready
