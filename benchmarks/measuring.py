"""Measuring one scene on one running server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks import load
from benchmarks.running import Running, cpu_of
from benchmarks.scenes import Request

WARM_UP: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Figures:
    """What a scene took on a server, over some seconds."""

    rate: float  # requests a second
    cpu: float  # microseconds of the server for a request
    database_cpu: float  # microseconds of PostgreSQL for a request
    client_cpu: float  # microseconds of wrk for a request
    p50: float  # milliseconds
    p95: float
    p99: float
    memory: float  # MB of all processes of the server


@dataclass(frozen=True, slots=True)
class Measured:
    """One scene on one server (or on one data set, or in one way) in one round."""

    round: int
    variant: str
    scene: str
    figures: Figures


def measure(
    server: Running,
    database: psutil.Process,
    requests: Sequence[Request],
    *,
    seconds: float,
    warm_up: float = WARM_UP,
) -> Figures:
    """Warm the server up, then load it.

    Raises:
        LoadFailed: not every answer was a success.

    """
    if warm_up:
        load.send(requests, server.url, seconds=warm_up)
    cpu, database_cpu = server.cpu(), cpu_of(database)
    done = load.send(requests, server.url, seconds=seconds)
    cpu, database_cpu = server.cpu() - cpu, cpu_of(database) - database_cpu
    return Figures(
        rate=done.requests / done.seconds,
        cpu=cpu / done.requests * 1e6,
        database_cpu=database_cpu / done.requests * 1e6,
        client_cpu=done.cpu / done.requests * 1e6,
        p50=done.p50 / 1000,
        p95=done.p95 / 1000,
        p99=done.p99 / 1000,
        memory=sum(server.memory()),
    )
