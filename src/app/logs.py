"""How the service speaks to its operator: one event a line, on standard output."""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

import structlog
from structlog.typing import EventDict, Processor

ABOUT_CODE: Final = (AssertionError, AttributeError, ImportError, NameError, RuntimeError, TypeError)

log = structlog.get_logger()
_by_hand = False

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)


def configure(level: str, form: str) -> None:
    """Set up logging for the process: `form` is json or console. Libraries speak from warning on."""
    global _by_hand  # noqa: PLW0603 - logging is the process's
    _by_hand = form == "json" and logging.getLevelName(level.upper()) <= logging.INFO
    shared: list[Processor] = [
        _add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def request(request_id: str, method: str, route: str | None, status: int, milliseconds: float) -> None:
    """Log that a request was answered. Id and method are tokens (RFC 9110 §5.6.2), the route is ours.

    By far the most frequent event: as JSON it is written by hand, in a sixth of structlog's time.
    """
    if not _by_hand:
        log.info("request", method=method, route=route, status=status, milliseconds=round(milliseconds, 2))
        return
    path = "null" if route is None else f'"{route}"'
    sys.stdout.write(
        f'{{"method": "{method}", "route": {path}, "status": {status}, "milliseconds": {milliseconds:.2f},'
        f' "event": "request", "request_id": "{request_id}", "level": "info",'
        f' "timestamp": "{datetime.now(UTC).isoformat()[:26]}Z"}}\n'
    )
    sys.stdout.flush()


def where(error: BaseException) -> list[str]:
    """Tell an error by types and places, outermost first.

    Its message is told only where it speaks of code: a driver's error quotes values, and those are people's.
    """
    told = []
    current: BaseException | None = error
    while current is not None:
        told.append(f"{type(current).__module__}.{type(current).__qualname__}")
        if type(current) in ABOUT_CODE:
            told[-1] += f": {current}"
        trace = current.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            told.append(f"  {code.co_filename}:{trace.tb_lineno} {code.co_qualname}")
            trace = trace.tb_next
        current = current.__cause__ or current.__context__
    return told


def _add_request_id(_: object, __: str, event: EventDict) -> EventDict:
    if (request_id := REQUEST_ID.get()) is not None:
        event["request_id"] = request_id
    return event
