"""The figures of one scene on one running server."""

from dataclasses import dataclass

import psutil

from benchmarks.running import cpu_of
from dev.postgres import PostgresServer


@dataclass(frozen=True, slots=True)
class Database:
    """The PostgreSQL under measurement."""

    postmaster: psutil.Process  # its children are the sessions and the background processes
    postgres: PostgresServer

    def cpu(self) -> float:
        """Return the CPU time that all processes of PostgreSQL have used, in seconds."""
        return cpu_of(self.postmaster)

    def wal(self) -> int:
        """Return how many bytes of write-ahead log it has written."""
        return int(self.postgres.query("SELECT pg_current_wal_insert_lsn() - '0/0'"))


@dataclass(frozen=True, slots=True)
class Figures:
    """The measured figures of one scene on one server."""

    rate: float  # requests a second
    cpu: float  # microseconds of CPU of the server per request
    database_cpu: float  # microseconds of CPU of PostgreSQL per request
    client_cpu: float  # microseconds of CPU of wrk per request
    p50: float  # milliseconds, as the next two
    p95: float
    p99: float
    memory: float  # MB of all processes of the server
    wal: float  # bytes of write-ahead log per request

    @property
    def total_cpu(self) -> float:
        """Microseconds of CPU of the server and PostgreSQL per request."""
        return self.cpu + self.database_cpu


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one scene in one round.

    `variant` is what was measured: a server, a data set, or a connection to the database.
    """

    round: int
    variant: str
    scene: str
    figures: Figures
