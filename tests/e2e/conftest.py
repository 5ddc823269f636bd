"""Fixtures of browser tests."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page

from dev.postgres import PostgresServer
from tests.support.servers.site import Site, site_of


@pytest.fixture(scope="module")
async def site(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """The page, the sign-in server and the API, for the tests of a module."""
    async with site_of(postgres, tmp_path_factory.mktemp("site")) as site:
        with site.api():
            yield site


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page in a new browser context. An error that the page's code does not catch fails the test."""
    uncaught = list[str]()
    async with await browser.new_context() as context:
        page = await context.new_page()
        page.on("pageerror", lambda error: uncaught.append(str(error)))
        yield page
    assert uncaught == []
