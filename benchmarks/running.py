"""A server under measurement: its first answer, its CPU time, its memory."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from dev.children import prepare
from dev.postgres import free_port
from benchmarks.scenes import Request
from benchmarks.servers import Server, environment

START_TIMEOUT = 60  # seconds
MEGABYTE = 1_000_000


class DidNotStart(Exception):
    """With the end of what the server said."""


@dataclass
class Running:
    """A started server."""

    url: str
    first_answer: float  # seconds from its start to its first task list
    _tree: psutil.Process

    def cpu(self) -> float:
        """Return the CPU time that it has used, in seconds: the system's own count, children included."""
        return cpu_of(self._tree)

    def memory(self) -> list[float]:
        """Return the memory of each process that serves, in MB, the greatest first.

        What belongs to one process alone, and its part of what it shares (Linux: PSS).
        """
        return sorted((_memory(process) for process in _family(self._tree)), reverse=True)


@contextmanager
def running(
    server: Server, command: list[str], database_url: str, trust: Mapping[str, str], probe: Request, log: Path
) -> Iterator[Running]:
    """Start a server, wait for its first answer to `probe`, and stop it at the end."""
    port = free_port()
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - programs of ours
            [part.format(port=port) for part in command],
            env=environment(server, database_url, port, trust),
            cwd=server.cwd,
            stdout=output,
            stderr=output,
            preexec_fn=prepare(death=signal.SIGTERM),  # noqa: PLW1509 - no threads that hold locks
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _until_it_answers(process, url, probe, log)
        yield Running(url, time.monotonic() - began, psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_of(root: psutil.Process) -> float:
    """Return the CPU time of a process and of all that came of it, in seconds."""
    spent = 0.0
    for process in _family(root):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system + times.children_user + times.children_system
    return spent


def _family(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _memory(process: psutil.Process) -> float:
    full = process.memory_full_info()
    return float(getattr(full, "pss", full.rss)) / MEGABYTE


def _until_it_answers(process: "subprocess.Popen[bytes]", url: str, probe: Request, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    headers = {"authorization": f"Bearer {probe.token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=5) as client:
        while time.monotonic() < deadline:
            try:
                if client.request(probe.method, probe.path).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                pass
            if process.poll() is not None:
                break
            time.sleep(0.01)
    raise DidNotStart("\n".join(log.read_text(errors="replace").splitlines()[-5:]) or "it said nothing")
