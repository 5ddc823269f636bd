"""The log: one event a line, on standard output."""

import asyncio
import logging
import secrets
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from traceback import walk_tb
from typing import Final

import structlog
from structlog.typing import EventDict, Processor

from app.log_limit import LineLimit

ABOUT_CODE: Final = (AssertionError, AttributeError, ImportError, NameError, RuntimeError, TypeError)

log = structlog.get_logger()
_json_lines = False
_short_lines = False
_user_key = secrets.token_bytes(32)

FLUSH_AFTER: Final = 0.02  # seconds that a line waits for others
TOGETHER_MAX: Final = 4096  # bytes of lines that are written together: Linux's PIPE_BUF
_flushing: asyncio.TimerHandle | None = None
_pending = 0  # bytes of lines that wait
_limit = LineLimit()

PROBES: Final = ("/health", "/health/ready")
_REFUSALS: Final = range(400, 500)  # statuses
_REFUSED_TO_A_PERSON: Final = (403, 429)  # a person's rate limit does not bound these

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)


def configure(level: str, form: str, user_key: str | None = None) -> None:
    """Set up logging for the process: `form` is json or console. Libraries log from level warning on.

    With the same `user_key`, a person has the same pseudonym in every log. Without one, each process draws
    its own random key.
    """
    global _json_lines, _short_lines, _user_key  # noqa: PLW0603 - the process has one log
    enabled = logging.getLevelName(level.upper()) <= logging.INFO
    _json_lines, _short_lines = enabled and form == "json", enabled and form == "console"
    _user_key = blake2b(user_key.encode(), digest_size=32).digest() if user_key else secrets.token_bytes(32)
    pseudonym_of.cache_clear()
    _start_anew()
    shared: list[Processor] = [
        _write_waiting,
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


@lru_cache(maxsize=10_000)
def pseudonym_of(user_id: str) -> str:
    """Return a person's pseudonym in the log: a keyed hash. Without the key nobody can link it to the id."""
    return blake2b(user_id.encode(), key=_user_key, digest_size=8).hexdigest()


def log_request(  # noqa: PLR0913, PLR0917 - the line's fields
    request_id: str,
    trace_id: str | None,
    user_id: str | None,
    method: str,
    route: str | None,
    status: int,
    problem: str | None,
    milliseconds: float,
) -> None:
    """Log an answered request. No value needs escaping: ids are tokens (RFC 9110 §5.6.2), the rest is ours.

    This is by far the most frequent event. Its JSON is formatted here, in a sixth of structlog's time. The
    format `console` has one short line, and none for health probes. Lines of requests that anybody can send
    without end have a limit.
    """
    if (user_id is None or status in _REFUSED_TO_A_PERSON) and not _admit(method, route, status):
        _limit.leave_out(status)
    elif _json_lines:
        user = None if user_id is None else pseudonym_of(user_id)
        _write_soon(
            f'{{"method": "{method}", "route": {_quote(route)}, "status": {status},'
            f' "milliseconds": {milliseconds:.2f}, "user": {_quote(user)}, "problem": {_quote(problem)},'
            f' "event": "request", "request_id": "{request_id}", "trace_id": {_quote(trace_id)},'
            f' "level": "info",'
            f' "timestamp": "{_timestamp()}"}}\n'
        )
    elif _short_lines and route not in PROBES:
        path = "(no such path)" if route is None else route.replace("{user_id}", "me")
        more = "" if problem is None or problem == "about:blank" else f"  {problem}"
        _write_soon(f"{method} {path} {status} {milliseconds:.0f} ms{more}\n")


def explain_refusal(problem: str, reason: str) -> None:
    """Log why a request was refused. No person's rate limit bounds these lines, so they have a limit."""
    if _limit.admit():
        log.info(problem, reason=reason)


def _admit(method: str, route: str | None, status: int) -> bool:
    """Return whether to log a request that no person's rate limit bounds.

    A 4xx without a person is counted as a failure of the address, but its limit does not bound the 429 that
    follow. It counts neither OPTIONS nor health probes.
    """
    is_endless = status in _REFUSALS or method == "OPTIONS" or route in PROBES
    return not is_endless or _limit.admit()


def _start_anew() -> None:
    """Forget waiting lines: a new event loop or a new process runs now."""
    global _flushing, _pending, _limit
    _flushing, _pending, _limit = None, 0, LineLimit()


def _write_soon(line: str) -> None:
    """Write a line, at most FLUSH_AFTER later, together with others: a system call costs more than a line.

    Any other event is written at once and by itself, after the waiting lines. A group is no larger than what
    a pipe takes atomically (POSIX: PIPE_BUF), so lines of several processes do not mix.
    """
    global _flushing, _pending  # noqa: PLW0603 - the process has one standard output
    if _pending + len(line) > TOGETHER_MAX:
        flush()
    sys.stdout.write(line)
    _pending += len(line)
    if _flushing is None:
        _flushing = asyncio.get_running_loop().call_later(FLUSH_AFTER, flush)


def end() -> None:
    """At the end of the process, write the lines that wait."""
    _limit.report()
    flush()


def flush() -> None:
    """Write the waiting lines."""
    global _flushing, _pending
    if _flushing is not None:
        _flushing.cancel()
    _flushing, _pending = None, 0
    sys.stdout.flush()


def _write_waiting(_logger: object, _method: str, event: EventDict) -> EventDict:
    flush()
    return event


def _timestamp() -> str:
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_format_second(seconds)}.{microseconds:06}Z"


@lru_cache(maxsize=1)
def _format_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _quote(plain: str | None) -> str:
    """Return a JSON string, or null. Nothing in the text may need escaping."""
    return "null" if plain is None else f'"{plain}"'


def describe_error(error: BaseException) -> list[str]:
    """Describe an error and its causes by type and code position, the outermost error first.

    The message is included only for errors about code (`ABOUT_CODE`): a driver's error quotes values, which
    belong to users.
    """
    lines = []
    current: BaseException | None = error
    while current is not None:
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}")
        if type(current) in ABOUT_CODE:
            lines[-1] += f": {current}"
        for frame, number in walk_tb(current.__traceback__):
            lines.append(f"  {frame.f_code.co_filename}:{number} {frame.f_code.co_qualname}")
        current = current.__cause__ or current.__context__
    return lines


def _add_request_id(_: object, __: str, event: EventDict) -> EventDict:
    if (request_id := REQUEST_ID.get()) is not None:
        event["request_id"] = request_id
    return event
