"""Measuring one scene on one running server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks import load
from benchmarks.running import Running, cpu_of
from benchmarks.scenes import Request
from dev.postgres import PostgresServer

WARM_UP: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Database:
    """The PostgreSQL under measurement."""

    postmaster: psutil.Process  # its children are the sessions
    postgres: PostgresServer

    def cpu(self) -> float:
        """Return the CPU time that it has used, in seconds."""
        return cpu_of(self.postmaster)

    def wal(self) -> int:
        """Return how many bytes of write-ahead log it has written."""
        return int(self.postgres.query("SELECT pg_current_wal_insert_lsn() - '0/0'"))


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
    wal: float  # bytes of write-ahead log for a request

    @property
    def whole(self) -> float:
        """Microseconds of the server and PostgreSQL for a request."""
        return self.cpu + self.database_cpu


@dataclass(frozen=True, slots=True)
class Measured:
    """One scene on one server (or on one data set, or in one way) in one round."""

    round: int
    variant: str
    scene: str
    figures: Figures


def measure(
    server: Running,
    database: Database,
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
    wal = database.wal()
    cpu, database_cpu = server.cpu(), database.cpu()
    done = load.send(requests, server.url, seconds=seconds)
    cpu, database_cpu = server.cpu() - cpu, database.cpu() - database_cpu
    wal = database.wal() - wal
    return Figures(
        rate=done.requests / done.seconds,
        cpu=cpu / done.requests * 1e6,
        database_cpu=database_cpu / done.requests * 1e6,
        client_cpu=done.cpu / done.requests * 1e6,
        p50=done.p50 / 1000,
        p95=done.p95 / 1000,
        p99=done.p99 / 1000,
        memory=sum(server.memory()),
        wal=wal / done.requests,
    )
