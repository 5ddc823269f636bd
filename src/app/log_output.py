"""Standard output, where the log goes: lines that go out together, and lines that nobody reads any more.

A reader that is gone (a closed pipe), one that is there and does not read, or a full disk must fail no
request. Lines are dropped until it can be written again, which standard error says once.
"""

import asyncio
import errno
import io
import os
import select
import stat
import sys
from typing import Any, Final, TextIO

FLUSH_AFTER: Final = 0.02  # seconds
TOGETHER_MAX: Final = 4096  # bytes
STANDARD_ERROR: Final = 2
PATIENCE: Final = 0.5  # seconds to wait, once, for the reader of a pipe that is full
GONE: Final = "the log cannot be written to standard output"

_flushing: asyncio.TimerHandle | None = None
_pending = 0  # bytes


class CannotWrite(Exception):
    """Standard output takes nothing; the message says why. No OSError, which would be the database's."""


class Output(io.FileIO):
    """Standard output or standard error that fails once, or, where it is sparing, drops what nobody takes."""

    sparing = False
    broken = False

    def __init__(self, descriptor: int) -> None:
        self.number = descriptor
        super().__init__(_without_waiting(descriptor), "w", closefd=False)

    def write(self, data: Any, /) -> int:
        """Write, or drop and say so on standard error, once until it works again."""
        try:
            written = super().write(data)
            if written is None and not self.broken:  # the pipe is full
                select.select((), (self,), (), PATIENCE)
                written = super().write(data)
            if written is None:
                raise BlockingIOError(errno.EAGAIN, "nobody reads it")
        except OSError as error:
            first, self.broken = not self.broken, True
            if first and not self.sparing:
                raise CannotWrite(error.strerror) from None
            if first and self.number != STANDARD_ERROR:
                sys.stderr.write(f"{GONE} ({error.strerror}): lines are dropped until it can\n")
                sys.stderr.flush()
            return memoryview(data).nbytes
        self.broken = False
        return written


def _without_waiting(descriptor: int) -> int:
    """Open a pipe anew for writing that never waits: what is set on the one at hand holds for others too."""
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # nobody reads any more, or it may not be opened: then it is written as it is
        pass
    return descriptor


def fail_in_one_line() -> None:
    """Make standard output raise CannotWrite, once, where it cannot be written."""
    sys.stdout = _output(sys.stdout)


def never_fail() -> None:
    """Make standard output and standard error drop what cannot be written."""
    sys.stdout, sys.stderr = _output(sys.stdout, sparing=True), _output(sys.stderr, sparing=True)


def _output(plain: TextIO, *, sparing: bool = False) -> TextIO:
    if not isinstance(plain, io.TextIOWrapper):
        return plain  # a test's own
    raw = getattr(plain.buffer, "raw", plain.buffer)  # with PYTHONUNBUFFERED there is none in between
    if type(raw) is io.FileIO:
        plain.flush()
        raw = Output(plain.fileno())
        plain = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=plain.encoding,
            errors=plain.errors,
            line_buffering=plain.line_buffering,
        )
    if isinstance(raw, Output):
        raw.sparing = raw.sparing or sparing
    return plain


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
