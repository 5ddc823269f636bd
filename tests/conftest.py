"""Fixtures and hooks for all tests. The fixtures start real servers in temporary folders."""

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

gc.disable()  # while tests are collected, because their objects all stay, and a collection would free nothing
settings.register_profile("without a deadline", parent=settings(), deadline=None)  # the machine may be busy
settings.load_profile("without a deadline")

LONGEST = (  # the most CPU time first
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
    """Show the progress by file if several workers run the files."""
    if getattr(config.option, "numprocesses", None):
        config.pluginmanager.register(FileProgress(config))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check the marks of the tests. Run the longest files first, so that none of them runs alone at the end."""
    for item in items:
        if "postgres" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("server"):
            raise pytest.UsageError(f"{item.nodeid} needs PostgreSQL: mark it with `server`")
    for path in {item.path for item in items if item.get_closest_marker("quiet")}:
        if "mark.quiet" not in path.read_text():
            raise pytest.UsageError(f"{path} has quiet tests: `make test` finds these by `mark.quiet` in it")
    items.sort(key=lambda item: [item.nodeid.startswith(name) for name in LONGEST], reverse=True)


def pytest_collection_finish() -> None:
    """Collect garbage again, except the objects that exist now."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure if `CI` is set, because nothing that a test needs may be missing there."""
    report = yield
    if os.environ.get("CI") and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which must not happen in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A temporary PostgreSQL, one for each worker of the tests."""
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
        "RATE_LIMIT_PERSON": "1000000/60",  # requests are counted, but the limit is never reached
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
    """The people of the application in this process."""
    return People(client)


@pytest.fixture(scope="session")
async def people_who_must_send_if_match(database_url: str) -> AsyncIterator[People]:
    """The people of a service that requires If-Match on each write."""
    app = compose(Settings.from_env(environment_for(database_url, REQUIRE_IF_MATCH="1")))
    async with client_of(app) as client:
        yield People(client)


@pytest.fixture(scope="session")
async def people_with_three_tasks_at_most(database_url: str) -> AsyncIterator[People]:
    """The people of a service that stores at most three tasks of each person."""
    app = compose(Settings.from_env(environment_for(database_url, MAX_TASKS="3")))
    async with client_of(app) as client:
        yield People(client)


@pytest.fixture(scope="session")
def service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service in its own process, with a real socket."""
    with serving(environment_for(database_url), tmp_path_factory.mktemp("service")) as running_service:
        yield running_service


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium. Each test opens its own context."""
    async with chromium() as browser:
        yield browser
