"""Liveness and readiness: `/health` and `/health/ready`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from litestar import Response
from litestar.handlers import HTTPRouteHandler

from app.api.openapi import operations
from app.api.responses import get_public

log = structlog.get_logger()

PartCheck = Callable[[], Awaitable[str | None]]
"""Returns why a part is unavailable, or None."""

NO_STORE: Final = {"cache-control": "no-store"}


@get_public("/health", **operations.HEALTH)
async def alive() -> Response[dict[str, str]]:
    """Answer 200: the process is alive."""
    return Response({"status": "ok"}, headers=NO_STORE)


def readiness(parts: Mapping[str, PartCheck], *, optional: Mapping[str, PartCheck]) -> HTTPRouteHandler:
    """Make the handler that checks every part. The reason of a failure goes to the log only.

    Requests can be served without an optional part. Such a part logs its own failures.
    """
    last_reasons: dict[str, str | None] = dict.fromkeys(parts)

    @get_public("/health/ready", **operations.READY)
    async def ready() -> Response[dict[str, Any]]:
        """Answer 200 if requests can be served, else 503."""
        states = {}
        for name, check in parts.items():
            reason = await check()
            if reason != last_reasons[name]:  # log changes only, because probes come each second
                write = log.warning if reason else log.info
                write("part unavailable" if reason else "part available again", part=name, reason=reason)
                last_reasons[name] = reason
            states[name] = "ok" if reason is None else "unavailable"
        is_healthy = all(state == "ok" for state in states.values())
        for name, check in optional.items():
            states[name] = "ok" if await check() is None else "unavailable"
        return Response(
            {"status": "ok" if is_healthy else "unavailable", **states},
            status_code=200 if is_healthy else 503,
            headers=NO_STORE if is_healthy else {**NO_STORE, "retry-after": "1"},
        )

    return ready
