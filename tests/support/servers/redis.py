"""A real Redis or Valkey that tests kill, pause and start again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dev.children import prepare
from dev.postgres import free_port


@dataclass
class Store:
    """A Redis or Valkey without data on disk. It starts again on the same port."""

    program: str
    folder: Path
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the store, and wait until it listens."""
        without_data = ("--save", "", "--dir", str(self.folder))
        command = [self.program, "--port", str(self.port), *without_data, *self.options]
        with (self.folder / "store.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=prepare())  # noqa: PLW1509 - no threads here
        for _ in range(100):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self.folder / "store.log").read_text())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal: SIGSTOP pauses the store, SIGCONT continues it."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Send SIGKILL to the store, and wait until it has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def store_in(folder: Path, *options: str) -> Iterator[Store]:
    """Start a store with these command-line options, and kill it when the block ends."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("neither Redis nor Valkey is installed")
    store = Store(program, folder, options)
    store.start()
    try:
        yield store
    finally:
        store.kill()
