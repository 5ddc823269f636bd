"""The test bed: a filled PostgreSQL, installed servers, and people with tokens."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import dataset
from benchmarks.dataset import Dataset
from benchmarks.running import Running, running
from benchmarks.scenes import Owner, requests_of
from benchmarks.servers import SERVERS, NotInstalled, Server
from benchmarks.settings import BenchSettings
from benchmarks.trust import Issuer, issuer_of
from dev.postgres import PostgresServer
from dev.steps import step

STATE: Final = Path(__file__).parent.parent / ".state" / "benchmarks"
OWNERS: Final = 100  # people who ask

SETTINGS: Final = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "autovacuum": "off",  # rounds clean up between them, not within
    "checkpoint_timeout": "60min",
}


@dataclass
class Bed:
    """Everything that a measurement needs."""

    chosen: BenchSettings
    postgres: PostgresServer
    data: Dataset
    issuer: Issuer
    owners: list[Owner]
    commands: dict[Server, list[str]]
    starts: dict[str, list[float]] = field(default_factory=dict)  # seconds to the first answer

    @classmethod
    def made(cls, chosen: BenchSettings, stack: ExitStack) -> "Bed":
        """Install, start and fill."""
        STATE.mkdir(parents=True, exist_ok=True)
        commands = _installed(chosen)
        postgres = stack.enter_context(database_server())
        data = dataset.ensure(postgres, chosen.tasks)
        issuer = stack.enter_context(issuer_of(chosen.algorithm))
        owners = asyncio.run(dataset.some_owners(data, OWNERS, issuer.token))
        return cls(chosen, postgres, data, issuer, owners, commands)

    @contextmanager
    def started(self, server: Server, issuer: Issuer | None = None, data: Dataset | None = None) -> Iterator[Running]:
        """Start a server on the data set."""
        issuer, data = issuer or self.issuer, data or self.data
        ann = self.owners[0]
        probe = requests_of("list", [Owner(ann.user_id, issuer.token(ann.user_id), ann.task_ids)], 1)[0]
        url = data.url if server.walled else data.url_without_wall
        log = STATE / f"{server.name}.log"
        with running(server, self.commands[server], url, issuer.env, probe, log) as started:
            self.starts.setdefault(server.name, []).append(started.first_answer)
            yield started


@contextmanager
def database_server() -> Iterator[PostgresServer]:
    """Start the PostgreSQL that keeps the data sets."""
    postgres = PostgresServer(STATE, settings=SETTINGS)
    try:
        with step("PostgreSQL"):
            postgres.start()
        yield postgres
    finally:
        postgres.stop()


def _installed(chosen: BenchSettings) -> dict[Server, list[str]]:
    """Make every server ready that can be; tell why another cannot."""
    commands = {}
    for server in SERVERS:
        if server.name in chosen.servers:
            try:
                with step(server.title):
                    commands[server] = server.install(STATE)
            except NotInstalled as error:
                print(f"    left out: {error}", flush=True)
    return commands
