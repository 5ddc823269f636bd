"""Starts a server for a measurement, and reads its CPU time and memory."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from benchmarks.scenes import Request
from dev.children import prepare

START_TIMEOUT: Final = 60  # seconds
STOP_TIMEOUT: Final = 15  # seconds
MEGABYTE: Final = 1_000_000


class DidNotStart(Exception):
    """The server did not start; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started server."""

    url: str
    first_answer: float  # seconds from its start to its first task list
    root: psutil.Process

    def cpu(self) -> float:
        """Return the CPU time that it has used, in seconds: the system's own count, children included."""
        return cpu_of(self.root)

    def memory(self) -> list[float]:
        """Return the memory of each of its processes, in MB, the greatest first.

        On Linux this is PSS: the memory of one process alone, and its part of shared memory.
        """
        return sorted((_memory(process) for process in _family(self.root)), reverse=True)


@contextmanager
def running(
    command: list[str], *, cwd: Path, env: Mapping[str, str], probe: Request, log: Path
) -> Iterator[Running]:
    """Start a server at the port in `env`, wait until it answers `probe` with 200, and stop it at the end.

    Raises:
        DidNotStart: it ended, or did not answer with 200 in START_TIMEOUT seconds.
    """
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - programs of ours
            [part.format(port=env["PORT"]) for part in command],
            env=dict(env),
            cwd=cwd,
            stdout=output,
            stderr=output,
            preexec_fn=prepare(on_parent_death=signal.SIGTERM),  # noqa: PLW1509 - no threads that hold locks
        )
    try:
        url = f"http://127.0.0.1:{env['PORT']}"
        _wait_for_200(process, url, probe, log)
        yield Running(url, time.monotonic() - began, psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_of(root: psutil.Process) -> float:
    """Return the CPU time of a process and its descendants, in seconds.

    A child that ended is in its parent's count from then on, so nothing is counted twice. One that ends
    during a reading may be missing from that reading, and is in the next one.
    """
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
    try:
        full = process.memory_full_info()
    except psutil.NoSuchProcess:  # it has just ended
        return 0.0
    return float(getattr(full, "pss", full.rss)) / MEGABYTE


def _wait_for_200(process: "subprocess.Popen[bytes]", url: str, probe: Request, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    answer = ""
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {probe.token}"}, timeout=5) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                response = client.request(probe.method, probe.path)
            except httpx.HTTPError:
                time.sleep(0.01)
                continue
            if response.status_code == httpx.codes.OK:
                return
            answer = f"it answers {response.status_code}: {response.text[:200]}"
            time.sleep(0.01)
    log_end = log.read_text(errors="replace").splitlines()[-5:]
    raise DidNotStart("\n".join([*log_end, answer]).strip() or "it printed nothing")
