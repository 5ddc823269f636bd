"""Fixtures that every suite shares. Servers are real, and made in temporary places."""

import gc
import os
from collections.abc import AsyncIterator, Generator, Iterator

import httpx
import pytest
from hypothesis import settings
from playwright.async_api import Browser

from app.composition import compose
from app.infra.postgres.database import Database
from app.settings import Settings
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer, temporary
from tests.support.in_process import client_of
from tests.support.log_search_hooks import (
    _recorded_requests,  # noqa: F401 - each of these is a hook or a fixture for every test
    pytest_runtest_logreport,  # noqa: F401
    pytest_sessionfinish,  # noqa: F401
    pytest_terminal_summary,  # noqa: F401
    pytest_testnodedown,  # noqa: F401
)
from tests.support.people import ORIGIN, SECRET, People
from tests.support.progress import FileProgress
from tests.support.servers.browser import chromium
from tests.support.servers.migrated import migrated_database
from tests.support.servers.service import Service, serving

gc.disable()  # until all tests are collected: until then all objects stay, and to look at them again and again is in vain
settings.register_profile("without a deadline", parent=settings(), deadline=None)  # the machine may be busy
settings.load_profile("without a deadline")

LONGEST = (  # the most processor time first
    "tests/e2e/front_ends/test_next.py",
    "tests/api/test_histories.py",
    "tests/infra/test_pgbouncer.py",
    "tests/e2e/front_ends/test_vite.py",
    "tests/dev/test_run.py",
    "tests/e2e/",
    "tests/abuse/",
    "tests/clients/",
    "tests/infra/",
    "tests/test_cli.py",
    "tests/test_log_search.py",
    "tests/architecture/test_changing_page.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Show progress by file where files run side by side."""
    if getattr(config.option, "numprocesses", None):
        config.pluginmanager.register(FileProgress(config))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left with one of them in the end."""
    for path in {item.path for item in items if item.get_closest_marker("quiet")}:
        if "mark.quiet" not in path.read_text():
            raise pytest.UsageError(f"{path} has quiet tests: `make test` finds these by `mark.quiet` in it")
    items.sort(key=lambda item: [item.nodeid.startswith(name) for name in LONGEST], reverse=True)


def pytest_collection_finish() -> None:
    """Collect garbage from here on, and never look at what the collection of tests has made."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything should be there: a skipped test looks green."""
    report = yield
    if os.environ.get("CI") and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which must not happen in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL of this run's own."""
    with temporary(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
async def database_url(postgres: PostgresServer) -> str:
    """A migrated database."""
    return await migrated_database(postgres)


@pytest.fixture(scope="session")
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on the migrated database."""
    database = Database(DatabaseAddress.parse(database_url))
    await database.open()
    yield database
    await database.close()


def environment_for(database_url: str, **more: str) -> dict[str, str]:
    """Return the variables of a service that accepts the tokens of `tests.support.people`."""
    return {
        "DATABASE_URL": database_url,
        "BETTER_AUTH_SECRET": SECRET.decode(),
        "JWT_ISSUER": ORIGIN,
        "JWT_AUDIENCE": ORIGIN,
        "CORS_ORIGINS": ORIGIN,
        "LOG_FORMAT": "json",
        "RATE_LIMIT_PERSON": "1000000/60",  # paid for, and never met
        "RATE_LIMIT_ADDRESS": "1000000/60",
        **more,
    }


@pytest.fixture(scope="session")
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application in this process, on a real database."""
    app = compose(Settings.from_env(environment_for(database_url)))
    async with client_of(app) as client:
        yield client


@pytest.fixture(scope="session")
def people(client: httpx.AsyncClient) -> People:
    """Everybody."""
    return People(client)


@pytest.fixture(scope="session")
async def careful_people(database_url: str) -> AsyncIterator[People]:
    """Everybody, at a service that wants If-Match on each write."""
    app = compose(Settings.from_env(environment_for(database_url, REQUIRE_IF_MATCH="1")))
    async with client_of(app) as client:
        yield People(client)


@pytest.fixture(scope="session")
async def full_people(database_url: str) -> AsyncIterator[People]:
    """Everybody, at a service that keeps three tasks of each."""
    app = compose(Settings.from_env(environment_for(database_url, MAX_TASKS="3")))
    async with client_of(app) as client:
        yield People(client)


@pytest.fixture(scope="session")
def service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service in a process of its own, on a real socket."""
    with serving(environment_for(database_url), tmp_path_factory.mktemp("service")) as running_service:
        yield running_service


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium, to open a context in for each test."""
    async with chromium() as browser:
        yield browser
