"""The environment of a scenario: PostgreSQL, a service with its own database, people who use it, and the fault."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from app.infra.auth.jwt_verifier import issue_token
from app.infra.migrations.run import upgrade
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.chaos.background import Background
from tests.chaos.clusters import Cluster
from tests.chaos.judge import Record
from tests.chaos.load import Load
from tests.conftest import environment_for
from tests.support.people import TRUST
from tests.support.servers.service import Service, serving
from tests.support.waiting import wait_until

PEOPLE: Final = 8  # who send requests at the same time
WARM: Final = 5  # requests of each person that warm up a new process
BEFORE: Final = 1.0  # seconds of work before the fault
AFTER: Final = 1.5  # seconds of work after the fault
NO_SETTINGS: Final[Mapping[str, str]] = {}


class Harness:
    """The environment that a scenario gets."""

    def __init__(
        self,
        cluster: Cluster,
        database: tuple[PostgresServer, str],  # the server, and the URL of the database
        folder: Path,
        background: Background,
        *,
        long: bool,
    ) -> None:
        self.cluster = cluster
        self.postgres, self.database_url = database
        self.folder = folder
        self.background = background
        self.long = long
        self.record = Record([], began=0, healed=0, start=0, end=0)
        self.load: Load
        self.notes: list[str] = []
        self.until_audited = ExitStack()  # contexts that end only after the ledgers were checked

    @property
    def database(self) -> str:
        """The name of the database."""
        return urlsplit(self.database_url).path.removeprefix("/")

    def use(self, postgres: PostgresServer, database_url: str) -> None:
        """Use an empty database of another server, and migrate it."""
        self.postgres, self.database_url = postgres, database_url
        self.background.run(upgrade(DatabaseAddress.parse(database_url)))

    @contextmanager
    def serving(
        self, url: str = "", settings: Mapping[str, str] = NO_SETTINGS, *, folder: str = "."
    ) -> Iterator[Service]:
        """Start a service on the scenario's database; `url` is that of a proxy or pooler in front of the database."""
        place = self.folder / folder
        place.mkdir(exist_ok=True)
        env = environment_for(url or self.database_url, RATE_LIMIT="off", LOG_LEVEL="warning") | dict(
            settings
        )
        if "JWKS_URL" in settings or "BETTER_AUTH_URL" in settings:
            del env["BETTER_AUTH_SECRET"]  # tokens are signed with keys here, not with the secret
        with serving(env, place) as service:
            yield service

    @contextmanager
    def under_load(
        self,
        service: Service | int,
        *,
        tokens: Mapping[str, str] | None = None,
        people: int = PEOPLE,
        after: float = AFTER,
        **how: Any,
    ) -> Iterator[Load]:
        """Let people send requests before, during and after the block; then check their ledgers.

        `service` may be the port of a proxy. `tokens` has each person's token by user id; None: new people. `after`
        are the seconds of work after the block. `how` are other arguments of `Load`.
        """
        port = service if isinstance(service, int) else port_of(service)
        tokens = tokens or {owner: token(owner) for owner in new_people(people)}
        self.load = load = Load(port, tokens, **how)
        self.record.start = self.record.began = self.record.healed = time.monotonic()
        self.background.run(load.start())
        try:
            wait_until(lambda: load.count > WARM * len(load.people))
            self.record.start = time.monotonic()
            time.sleep(BEFORE)
            yield load
            time.sleep(after)
        finally:
            self.background.run(load.stop())
            self.record.end = time.monotonic()
            self.record.answers = [each for each in load.answers if each.answered_at >= self.record.start]
        self.record.findings = self.background.run(load.audit())

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Note when the block, which is the fault, begins and ends."""
        self.record.began = time.monotonic()
        self.record.healed = float("inf")
        try:
            yield
        finally:
            self.record.healed = time.monotonic()

    def promise(self, kept: bool, sentence: str) -> None:  # noqa: FBT001 - a fact, not an option
        """Fail the scenario if a requirement of its own was not kept. The sentence says what was observed."""
        if not kept:
            self.record.broken.append(sentence)
        self.notes.append(sentence)

    def sql(self, statement: str, database: str = "") -> str:
        """Run SQL as the superuser."""
        return self.postgres.query(statement, database or self.database)


def new_people(count: int) -> list[str]:
    """Make new people."""
    return [f"person-{number}-{uuid4().hex[:6]}" for number in range(count)]


def token(owner: str) -> str:
    """Return a token that lasts longer than any scenario."""
    return issue_token(TRUST, user_id=owner, lifetime=7200)


def port_of(service: Service) -> int:
    """Return the port at which a service listens."""
    return urlsplit(service.url).port or 0


def is_up(url: str, path: str = "/health") -> bool:
    """Return whether a service answers 200."""
    try:
        return httpx.get(f"{url}{path}", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
