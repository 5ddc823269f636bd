"""The figures of one scene on one running server."""

from dataclasses import dataclass

import psutil

from benchmarks.running import cpu_of
from dev.postgres import PostgresServer


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
