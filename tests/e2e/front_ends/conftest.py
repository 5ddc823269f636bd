"""Fixtures of the documented front ends. Each app is built once for each worker of the tests that needs it."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from dev.postgres import PostgresServer
from tests.e2e.front_ends import next_site, vite_site
from tests.e2e.front_ends.documentation import PAGE, Section, sections
from tests.e2e.front_ends.next_site import NextApp
from tests.e2e.front_ends.site import Site
from tests.support.servers.oauth_provider import OAuthProvider, oauth_provider

PATIENCE = 30_000  # milliseconds, for a busy machine
expect.set_options(timeout=PATIENCE)
NewBrowser = Callable[..., Awaitable[BrowserContext]]


@pytest.fixture(scope="session")
def documented() -> dict[str, Section]:
    """The sections of docs/front-ends.md, by their headings."""
    return sections(PAGE.read_text())


@pytest.fixture(scope="session")
async def company() -> AsyncIterator[OAuthProvider]:
    """The identity provider of a company."""
    async with oauth_provider() as provider:
        yield provider


@pytest.fixture(scope="session")
async def next_app(
    documented: dict[str, Section],
    company: OAuthProvider,
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> NextApp:
    """The Next.js app of docs/front-ends.md, built."""
    folder = tmp_path_factory.mktemp("next") / "my-app"
    return await next_site.build(postgres, folder, documented["Next.js"], company.url)


@pytest.fixture(scope="session")
async def site(next_app: NextApp, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """The Next.js app of docs/front-ends.md and its servers, running."""
    async with next_site.running(next_app, tmp_path_factory.mktemp("service")) as site:
        yield site


@pytest.fixture(scope="session")
async def vite(
    documented: dict[str, Section],
    postgres: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Site]:
    """The Vite app of docs/front-ends.md and its servers, running."""
    folder = tmp_path_factory.mktemp("vite")
    async with vite_site.running(postgres, folder, documented) as site:
        yield site


@pytest.fixture
async def new_browser(browser: Browser) -> AsyncIterator[NewBrowser]:
    """A function that opens a browser context with its own IP address: Better Auth limits sign-ups per address."""
    opened = list[BrowserContext]()

    async def new_browser(**options: Any) -> BrowserContext:
        address = ".".join(str(1 + secrets.randbelow(250)) for _ in range(4))
        context = await browser.new_context(**{"extra_http_headers": {"x-forwarded-for": address}, **options})
        context.set_default_timeout(PATIENCE)
        opened.append(context)
        return context

    yield new_browser
    for context in opened:
        await context.close()
