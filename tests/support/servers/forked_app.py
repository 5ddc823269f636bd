"""Starts `app` as a fork of a process that has imported it. This takes a tenth of the CPU time of a new interpreter.

The fork has its own environment, folder, files and process group, and runs `app` from its first line on. Only the
imports are done before. A test of the start itself uses a new interpreter.
"""

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Final

from dev.children import prepare

ROOT: Final = Path(__file__).parents[3]
READ_AT_START: Final = ("PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_", "OPENSSL_", "TZ", "LANGUAGE")
"""Prefixes of variables that an interpreter or a library reads before `app` runs."""
READ_AT_IMPORT: Final = ("app.main", "prometheus_client", "opentelemetry.sdk")
"""Modules that read the environment when they are imported, so only a fork may import them."""
MODULES: Final = (
    *(f"app.cli.{verb}" for verb in ("serve", "migrate", "purge", "resync", "openapi", "token")),
    "app.composition",
    "uvloop",
)
MESSAGE_MAX: Final = 65_536  # bytes
_requests_lock: Final = Lock()  # the forking process has one socket, which all threads use


class ForkedApp:
    """A running `app`, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit status."""
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                message = self._status.recv(MESSAGE_MAX)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("app", timeout or 0) from None
            self._status.close()
            assert message, "the process that forks has ended"
            self.returncode = int(message)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def can_fork(env: Mapping[str, str]) -> bool:
    """Return whether a fork behaves as a new interpreter does in this environment."""
    can = sys.platform == "linux" and hasattr(os, "pidfd_open")
    return can and not any(name.startswith(READ_AT_START) for name in env)


def start(
    arguments: Sequence[str], env: Mapping[str, str], folder: Path, stdout: int, stderr: int
) -> ForkedApp:
    """Run `app` with these arguments."""
    status, far_status = socket.socketpair(type=socket.SOCK_SEQPACKET)
    request = json.dumps({"arguments": arguments, "env": dict(env), "folder": str(folder)}).encode()
    with far_status, _requests_lock:
        socket.send_fds(_forking_process(), [request], [stdout, stderr, far_status.fileno()])
    pid = int(status.recv(MESSAGE_MAX))
    return ForkedApp(pid, status)


@cache
def _forking_process() -> socket.socket:
    """Start the process that forks, at the first call. The process and its forks end when this socket is closed."""
    control, far_control = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with far_control:
        process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(far_control.fileno())],
            env={name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            cwd=ROOT,
            pass_fds=[far_control.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        control.close()
        process.wait()

    atexit.register(end)
    return control


class _ForkServer:
    """The loop of the process that forks: it reads requests, forks, and reports the end of each fork."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        # The process id and the socket for the exit status of each fork, by its pidfd.
        self._running: dict[int, tuple[int, socket.socket]] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._prepare = prepare(on_parent_death=signal.SIGTERM)

    def serve(self) -> bool:
        """Fork for each request. Return True in a fork, and False when the tests have ended."""
        while True:
            for key, _ in self._selector.select():
                if key.fd != self._control.fileno():
                    self._report_end(key.fd)
                    continue
                message, files, _, _ = socket.recv_fds(self._control, MESSAGE_MAX, 3)
                if not message:
                    return False
                if self._fork(message, files):
                    return True

    def _fork(self, message: bytes, files: list[int]) -> bool:
        stdout, stderr, status_file = files
        pid = os.fork()
        if pid == 0:
            os.close(status_file)
            self._become(json.loads(message), stdout, stderr)
            return True
        os.close(stdout)
        os.close(stderr)
        status = socket.socket(fileno=status_file)
        status.send(str(pid).encode())
        pidfd = os.pidfd_open(pid)
        self._running[pidfd] = pid, status
        self._selector.register(pidfd, selectors.EVENT_READ)
        return False

    def _become(self, request: dict[str, object], stdout: int, stderr: int) -> None:
        self._control.close()
        self._selector.close()
        for pidfd, (_, status) in self._running.items():
            os.close(pidfd)
            status.close()
        self._prepare()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.close(stdout)
        os.close(stderr)
        os.chdir(str(request["folder"]))
        os.environ.clear()
        os.environ.update(request["env"])  # type: ignore[call-overload]  # as JSON has it
        sys.argv[1:] = request["arguments"]  # type: ignore[call-overload]  # as JSON has it
        sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` has it

    def _report_end(self, process: int) -> None:
        pid, status = self._running.pop(process)
        self._selector.unregister(process)
        os.close(process)
        _, ended = os.waitpid(pid, 0)
        with suppress(OSError), status:  # the test no longer waits, and has closed its socket
            status.send(str(os.waitstatus_to_exitcode(ended)).encode())


def _main() -> None:
    for module in MODULES:
        import_module(module)
    early = [name for name in READ_AT_IMPORT if name in sys.modules]
    assert not early, f"{early} would read the environment of the process that forks"
    gc.freeze()
    if _ForkServer(socket.socket(fileno=int(sys.argv[1]))).serve():
        from app.__main__ import main  # noqa: PLC0415 - as in a new interpreter, the last import

        main()


if __name__ == "__main__":
    _main()
