"""A program of the run: started, waited for, stopped, and never left behind."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dev.children import prepare
from dev.steps import Cannot

START_TIMEOUT = 60  # seconds
STOP_TIMEOUT = 15  # seconds


class Part:
    """A child process."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], *, cwd: Path, log: Path | None = None
    ) -> None:
        self.name = name
        self._log = log
        output = log.open("wb") if log else None
        self._process = subprocess.Popen(  # noqa: S603 - programs of ours
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            preexec_fn=prepare(death=signal.SIGTERM),  # noqa: PLW1509 - no threads here
        )

    @property
    def ended(self) -> int | None:
        """Its exit status, once it has one."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return when it is ready.

        Raises:
            Cannot: it ended instead, or takes too long.

        """
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            if self.ended is not None:
                raise Cannot(f"{self.name} did not start. {self.last_words()}".rstrip())
            if time.monotonic() > deadline:
                raise Cannot(
                    f"{self.name} does not answer after {START_TIMEOUT} s. {self.last_words()}".rstrip()
                )
            time.sleep(0.05)

    def last_words(self) -> str:
        """Return the end of what it printed, where that was not shown."""
        if self._log is None:
            return ""
        return "\n".join(["It says:", *self._log.read_text(errors="replace").splitlines()[-12:]])

    def printed(self, words: str) -> bool:
        """Tell whether it printed these words."""
        return self._log is not None and words in self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Ask it to stop, and insist after a while."""
        if self.ended is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
