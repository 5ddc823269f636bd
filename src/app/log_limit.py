"""A limit on the log lines of requests that cost their client nothing.

Even without a token a client can send such requests without end: refused ones, OPTIONS and health probes. A
line for each would fill a disk. So at most LINES_MAX of these lines are written in a second. One more line
each second counts the requests whose lines were left out, as journald counts suppressed messages.
"""

import asyncio
from collections import Counter
from contextvars import Context
from time import monotonic
from typing import Final

import structlog

LINES_MAX: Final = 100  # lines in a second
REPORT_AFTER: Final = 1.0  # seconds

log = structlog.get_logger()


class LineLimit:
    """Admits lines up to the limit, and reports what was left out."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self._left_out = Counter[int]()
        self._reporting: asyncio.TimerHandle | None = None

    def admit(self) -> bool:
        """Count a line, and return whether it may be written."""
        second = int(monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= LINES_MAX

    def leave_out(self, status: int) -> None:
        """Count the status of a request that gets no line. A report follows."""
        self._left_out[status] += 1
        if self._reporting is None:  # without this request's context: the report has no request id
            self._reporting = asyncio.get_running_loop().call_later(
                REPORT_AFTER, self.report, context=Context()
            )

    def report(self) -> None:
        """Log how many requests got no line."""
        if self._reporting is None:
            return
        self._reporting.cancel()
        statuses = {str(status): count for status, count in sorted(self._left_out.items())}
        log.info("request lines left out", left_out=self._left_out.total(), statuses=statuses)
        self._reporting = None
        self._left_out.clear()
