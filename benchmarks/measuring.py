"""Measuring one scene on one running server."""

from collections.abc import Sequence

import psutil

from benchmarks import load
from benchmarks.report import Measured
from benchmarks.running import Running, cpu_of
from benchmarks.scenes import Request
from dev.postgres import PostgresServer

WARM_UP = 1  # seconds


def measure(
    server: Running,
    postgres: PostgresServer,
    requests: Sequence[Request],
    *,
    seconds: float,
    label: tuple[int, str, str],
) -> Measured:
    """Warm the server up, then load it, and return the figures under a label of round, server and scene.

    Raises:
        LoadFailed: not every answer was a success.

    """
    load.send(requests, server.url, seconds=WARM_UP)
    database = psutil.Process(postgres.process.pid)
    cpu, database_cpu = server.cpu(), cpu_of(database)
    done = load.send(requests, server.url, seconds=seconds)
    cpu, database_cpu = server.cpu() - cpu, cpu_of(database) - database_cpu
    number, name, scene = label
    return Measured(
        round=number,
        server=name,
        scene=scene,
        rate=done.requests / done.seconds,
        cpu=cpu / done.requests * 1e6,
        database_cpu=database_cpu / done.requests * 1e6,
        p50=done.p50 / 1000,
        p95=done.p95 / 1000,
        p99=done.p99 / 1000,
        memory=sum(server.memory()),
    )
