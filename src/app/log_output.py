"""Standard output, where the log goes: lines that go out together, and lines that nobody reads any more.

A reader that is gone (a closed pipe), or a full disk under it, must fail no request. Lines are dropped until
it can be written again, which standard error says once.
"""

import asyncio
import io
import sys
from typing import Any, Final, TextIO

FLUSH_AFTER: Final = 0.02  # seconds
TOGETHER_MAX: Final = 4096  # bytes
STANDARD_ERROR: Final = 2
GONE: Final = "the log cannot be written to standard output"

_flushing: asyncio.TimerHandle | None = None
_pending = 0  # bytes


class Output(io.FileIO):
    """A file that drops what cannot be written: whoever writes, or flushes, is spared the error."""

    broken = False

    def write(self, data: Any, /) -> int:
        """Write, or drop and say so on standard error, once until it works again."""
        try:
            written = super().write(data)
        except OSError as error:
            first, self.broken = not self.broken, True
            if first and self.fileno() != STANDARD_ERROR:
                sys.stderr.write(f"{GONE} ({error.strerror}): lines are dropped until it can\n")
                sys.stderr.flush()
            return memoryview(data).nbytes
        self.broken = False
        return written


def never_fail() -> None:
    """Make standard output and standard error drop what cannot be written."""
    sys.stdout, sys.stderr = _sparing(sys.stdout), _sparing(sys.stderr)


def _sparing(plain: TextIO) -> TextIO:
    if not isinstance(plain, io.TextIOWrapper) or type(getattr(plain.buffer, "raw", None)) is not io.FileIO:
        return plain  # a test's own
    plain.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Output(plain.fileno(), "w", closefd=False)),
        encoding=plain.encoding,
        errors=plain.errors,
        line_buffering=plain.line_buffering,
    )


def start_anew() -> None:
    """Forget what waits: another loop runs now, or another process."""
    global _flushing, _pending
    _flushing, _pending = None, 0


def write_soon(line: str) -> None:
    """Write a line that may wait for others: a system call for each costs more than the line itself.

    Any other event is written at once, and these lines before it. What goes out together is no more than a
    pipe takes whole (POSIX: PIPE_BUF), so lines of several processes do not mix.
    """
    global _flushing, _pending  # noqa: PLW0603 - standard output is the process's
    if _pending + len(line) > TOGETHER_MAX:
        flush()
    sys.stdout.write(line)
    _pending += len(line)
    if _flushing is None:
        _flushing = asyncio.get_running_loop().call_later(FLUSH_AFTER, flush)


def flush() -> None:
    """Write what waits."""
    global _flushing, _pending
    if _flushing is not None:
        _flushing.cancel()
    _flushing, _pending = None, 0
    sys.stdout.flush()
