"""The test bed: a filled PostgreSQL, installed servers, and people with tokens."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks import dataset, load
from benchmarks.database_route import database_route
from benchmarks.dataset import Dataset
from benchmarks.measuring import Database, Figures
from benchmarks.running import Running, running
from benchmarks.scenes import Owner, Request, requests_of
from benchmarks.servers import NotInstalled, Server, environment
from benchmarks.settings import TASKS, BenchSettings
from benchmarks.trust import Issuer, issuer_of
from dev.postgres import PostgresServer, free_port
from dev.steps import CannotRun, step

STATE: Final = Path(__file__).parent.parent / ".state" / "benchmarks"

WARM_UP: Final = 1.0  # seconds

SETTINGS: Final = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "autovacuum": "off",  # the harness vacuums between rounds, and nothing may vacuum during a round
    "checkpoint_timeout": "60min",
}


@dataclass
class Bed:
    """Everything that a measurement needs."""

    chosen: BenchSettings
    postgres: PostgresServer
    database: Database
    data: Dataset
    issuer: Issuer
    owners: list[Owner]
    commands: dict[Server, list[str]]  # of every server that can be measured here

    @classmethod
    def make(cls, chosen: BenchSettings, stack: ExitStack) -> "Bed":
        """Install the servers, start PostgreSQL, and fill the data set."""
        STATE.mkdir(parents=True, exist_ok=True)
        commands = _install_servers(chosen)
        postgres = stack.enter_context(_database_server())
        if postgres.process is None:
            raise CannotRun("PostgreSQL ended at once")
        database = Database(psutil.Process(postgres.process.pid), postgres)
        data = dataset.ensure(postgres, chosen.tasks)
        issuer = stack.enter_context(issuer_of(chosen.algorithm))
        owners = asyncio.run(dataset.some_owners(data, issuer.token))
        return cls(chosen, postgres, database, data, issuer, owners, commands)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out, so that the README may show the figures."""
        whole, chosen = BenchSettings.from_env({}), self.chosen
        all_servers = {server.name for server in self.commands} >= set(whole.servers)
        all_scenes = chosen.scenes == whole.scenes
        return all_servers and all_scenes and (chosen.algorithm, chosen.tasks) == (whole.algorithm, TASKS)

    def refuse_without_wrk(self) -> None:
        """Raise CannotRun if wrk is not installed."""
        if load.find_wrk() is None:
            raise CannotRun(
                "wrk is not installed, so nothing is timed: install it (Debian: apt-get install wrk)"
            )

    def measure(
        self, started: Running, requests: Sequence[Request], *, seconds: float, warm_up: float = WARM_UP
    ) -> Figures:
        """Warm the server up, then load it, and return the figures.

        Raises:
            LoadFailed: not every answer was a success.
        """
        clients, database = self.chosen.clients, self.database
        if warm_up:
            load.send(requests, started.url, seconds=warm_up, clients=clients)
        wal = database.wal()
        cpu, database_cpu = started.cpu(), database.cpu()
        done = load.send(requests, started.url, seconds=seconds, clients=clients)
        cpu, database_cpu = started.cpu() - cpu, database.cpu() - database_cpu
        wal = database.wal() - wal
        return Figures(
            rate=done.requests / done.seconds,
            cpu=cpu / done.requests * 1e6,
            database_cpu=database_cpu / done.requests * 1e6,
            client_cpu=done.cpu / done.requests * 1e6,
            p50=done.p50 / 1000,
            p95=done.p95 / 1000,
            p99=done.p99 / 1000,
            memory=sum(started.memory()),
            wal=wal / done.requests,
        )

    @contextmanager
    def started(
        self, server: Server, *, issuer: Issuer | None = None, data: Dataset | None = None, workers: int = 1
    ) -> Iterator[Running]:
        """Start a server that uses the data set and trusts the issuer. By default both are the bed's own."""
        issuer, data = issuer or self.issuer, data or self.data
        ann = self.owners[0]
        probe = requests_of("list", [Owner(ann.user_id, issuer.token(ann.user_id), ann.task_ids)], 1)[0]
        url = data.url if server.ours else data.url_of_peers
        log = STATE / f"{server.name}.log"
        command = self.commands[server]
        with database_route(url, self.chosen, ours=server.ours) as address:
            env = environment(address, free_port(), {**issuer.env, "WEB_CONCURRENCY": str(workers)})
            with running(command, cwd=server.cwd, env=env, probe=probe, log=log) as started:
                yield started


@contextmanager
def _database_server() -> Iterator[PostgresServer]:
    """Start the PostgreSQL that keeps the data sets."""
    postgres = PostgresServer(STATE, settings=SETTINGS)
    try:
        with step("PostgreSQL"):
            postgres.start()
        yield postgres
    finally:
        postgres.stop()


def _install_servers(chosen: BenchSettings) -> dict[Server, list[str]]:
    """Install every server that can be installed. Print why a server was left out."""
    commands = {}
    for server in chosen.chosen_servers():
        try:
            with step(server.title):
                commands[server] = server.install(STATE)
        except NotInstalled as error:
            print(f"    left out: {error}", flush=True)
    if not commands:
        raise CannotRun("there is no server left to measure")
    return commands
