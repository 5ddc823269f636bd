"""Starts and stops one program of `make run`, and waits until it is ready."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from dev.children import prepare
from dev.cluster import write_secret
from dev.steps import CannotRun

START_TIMEOUT = 60  # seconds
STOP_TIMEOUT = 15  # seconds
OUTPUT_TIMEOUT = 2  # seconds to read the last output of a program that has ended

MAIL_PREFIX = "mail | "  # of each line of a mail that the sign-in server prints (web/mail.ts)


class Part:
    """A child process. Its output goes to a log file, or is kept until `show`."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], *, cwd: Path, log: Path | None = None
    ) -> None:
        self.name = name
        self._log = log
        self._process = subprocess.Popen(  # noqa: S603 - programs of ours
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=_open_private(log) if log else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=prepare(on_parent_death=signal.SIGTERM),  # noqa: PLW1509 - only the part that starts last has a thread (`Output`)
        )
        self._output = None if log else Output(self._process.stdout)
        self._searched = 0  # bytes of the log that `show_mail` has read

    def show(self) -> None:
        """Show the output until now, and from now on."""
        if self._output is not None:
            self._output.show()

    def show_mail(self) -> None:
        """Show new mail in the log."""
        if self._log is None:
            return
        with self._log.open("rb") as log:
            log.seek(self._searched)
            complete, newline, _ = log.read().rpartition(b"\n")
        self._searched += len(complete + newline)
        for line in complete.decode(errors="replace").splitlines():
            if line.startswith(MAIL_PREFIX):
                print(line, flush=True)

    @property
    def exit_status(self) -> int | None:
        """The exit status; None while the program runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait until the program is ready.

        Raises:
            CannotRun: it ended, or was not ready in time.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            if self.exit_status is not None:
                raise CannotRun(f"{self.name} did not start. {self.last_output()}".rstrip())
            if time.monotonic() > deadline:
                raise CannotRun(
                    f"{self.name} does not answer after {START_TIMEOUT} s. {self.last_output()}".rstrip()
                )
            time.sleep(0.05)

    def last_output(self) -> str:
        """Return the end of the output that was not shown."""
        output = self._output.hidden() if self._output is not None else self._read_log()
        return "\n".join(["It says:", *output.splitlines()[-12:]]) if output else ""

    def has_printed(self, words: str) -> bool:
        """Return whether the log has these words. False without a log."""
        return words in self._read_log()

    def _read_log(self) -> str:
        return "" if self._log is None else self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Stop the program. If it still runs after STOP_TIMEOUT, kill it."""
        if self.exit_status is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._output is not None:
            self._output.finish()


def _open_private(log: Path) -> IO[bytes]:
    """Open a log that only this user can read: the mail in it has links that sign somebody in."""
    write_secret(log, "")
    return log.open("ab")


class Output:
    """The output of a program, kept until `show`, so that it is not mixed with the output of `make run`."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._kept: list[str] = []
        self._shown = False
        self._lock = threading.Lock()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def show(self) -> None:
        """Show the kept output, and all output from now on."""
        with self._lock:
            self._shown = True
            sys.stdout.write("".join(self._kept))
            sys.stdout.flush()
            self._kept.clear()

    def hidden(self) -> str:
        """Return the output that was not shown."""
        self._reading.join(OUTPUT_TIMEOUT)
        with self._lock:
            return "".join(self._kept)

    def finish(self) -> None:
        """Wait until all output is read, but at most OUTPUT_TIMEOUT."""
        self._reading.join(OUTPUT_TIMEOUT)

    def _read(self) -> None:
        for line in self._stream or ():
            text = line.decode(errors="replace")
            with self._lock:
                if self._shown:
                    sys.stdout.write(text)
                    sys.stdout.flush()
                else:
                    self._kept.append(text)
