"""Load: wrk sends the requests of a scene and reports how long each took."""

import json
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from benchmarks.scenes import Request

SCRIPT: Final = Path(__file__).parent / "requests.lua"


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load."""

    requests: int
    seconds: float
    failed: int
    p50: float  # microseconds, as the next two
    p95: float
    p99: float
    cpu: float = 0.0  # seconds of wrk itself


class LoadFailed(Exception):
    """The load has no usable figures: some requests were refused or got no answer."""


def find_wrk() -> str | None:
    """Return the program that makes the load, if it is installed."""
    return shutil.which("wrk")


def send(requests: Sequence[Request], url: str, *, seconds: float, clients: int) -> Load:
    """Send the requests again and again. Each of the clients has one request in progress.

    Raises:
        LoadFailed: not every answer was a success.
    """
    before = _cpu_of_ended_children()
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        file.writelines(
            f"{r.method}\t{r.path}\t{r.token}\t{r.body}\t{'key' if r.keyed else ''}\n" for r in requests
        )
        file.flush()
        options = ["-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout=10s", "-s", str(SCRIPT)]
        command = ["wrk", *options, url, "--", file.name, uuid4().hex]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - found by find_wrk
    if done.returncode:
        raise LoadFailed(f"wrk ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    load = Load(**json.loads(done.stdout.splitlines()[-1]), cpu=_cpu_of_ended_children() - before)
    if load.failed or not load.requests:
        first = f"{requests[0].method} {requests[0].path}"
        raise LoadFailed(f"{load.failed} of {load.requests} requests like {first} failed")
    return load


def _cpu_of_ended_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
