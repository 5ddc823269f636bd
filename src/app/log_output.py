"""Standard output, to which the log is written. Lines that cannot be written are dropped.

A closed pipe, a reader that does not read, or a full disk must not fail a request. Lines are dropped until
standard output works again. One message on standard error reports that lines are dropped.
"""

import errno
import io
import os
import select
import stat
import sys
from typing import Any, Final, TextIO

STANDARD_ERROR: Final = 2
PATIENCE: Final = 0.5  # seconds to wait, once, for the reader of a full pipe
WRITE_FAILED: Final = "the log cannot be written to standard output"


class CannotWrite(Exception):
    """Standard output cannot be written; the message says why.

    It is no OSError, because callers treat an OSError as an error of the database.
    """


class Output(io.FileIO):
    """Standard output or standard error.

    A write that fails raises CannotWrite, or drops its data if `drops_data`. Further writes that fail drop
    their data, until a write succeeds.
    """

    drops_data = False
    is_broken = False

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        super().__init__(_reopen_non_blocking(descriptor), "w", closefd=False)

    def write(self, data: Any, /) -> int:
        """Write the data, as the class describes. A line on standard error reports the first dropped data."""
        try:
            written = super().write(data)
            if written is None and not self.is_broken:  # the pipe is full
                select.select((), (self,), (), PATIENCE)
                written = super().write(data)
            if written is None:
                raise BlockingIOError(errno.EAGAIN, "nobody reads it")
        except OSError as error:
            is_first, self.is_broken = not self.is_broken, True
            if is_first and not self.drops_data:
                raise CannotWrite(error.strerror) from None
            if is_first and self.descriptor != STANDARD_ERROR:
                sys.stderr.write(f"{WRITE_FAILED} ({error.strerror}): lines are dropped until it can\n")
                sys.stderr.flush()
            return memoryview(data).nbytes
        self.is_broken = False
        return written


def _reopen_non_blocking(descriptor: int) -> int:
    """Reopen a pipe for non-blocking writes.

    The flag on the inherited descriptor would affect other processes too.
    """
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # no reader, or no right to open the pipe: use the descriptor as it is
        pass
    return descriptor


def raise_on_failure() -> None:
    """Make standard output raise CannotWrite at the first write that fails."""
    sys.stdout = _output(sys.stdout)


def never_fail() -> None:
    """Make standard output and standard error drop what they cannot write."""
    sys.stdout, sys.stderr = _output(sys.stdout, drops_data=True), _output(sys.stderr, drops_data=True)


def _output(plain: TextIO, *, drops_data: bool = False) -> TextIO:
    """Return a stream that writes to the descriptor of `plain` through an `Output`."""
    if not isinstance(plain, io.TextIOWrapper):
        return plain  # a test's replacement
    raw = getattr(plain.buffer, "raw", plain.buffer)  # with PYTHONUNBUFFERED there is no buffer
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
        raw.drops_data = raw.drops_data or drops_data
    return plain
