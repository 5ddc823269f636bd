"""axe-core finds no error in any state of the page, light or dark. At 320 pixels the page does not scroll sideways."""

import gzip
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from dev.postgres import PostgresServer
from tests.support.page_states import STATES, TOKEN_LIFETIME
from tests.support.servers.better_auth import WEB
from tests.support.servers.site import Site, site_of

pytestmark = pytest.mark.server

AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
SCRIPT_MAX = 120_000  # bytes, compressed with gzip
VIOLATIONS = """async () => (await axe.run()).violations.map(
  ({id, nodes}) => `${id}: ${nodes.map(({target, failureSummary}) => `${target} ${failureSummary}`).join("; ")}`)"""
TOO_WIDE = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="module")
async def site(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """The page and its servers, with tokens of a few seconds: in one state of the page the session has ended."""
    async with site_of(postgres, tmp_path_factory.mktemp("site"), life=TOKEN_LIFETIME) as site:
        with site.api():
            yield site


@pytest.mark.parametrize("state", STATES)
async def test_no_state_of_the_page_has_an_error_of_axe_or_scrolls_sideways_at_320_pixels(
    site: Site, browser: Browser, state: str
) -> None:
    async with await browser.new_context(bypass_csp=True) as context:  # the page does not allow axe's script
        page = await context.new_page()
        await STATES[state](page, site)
        await page.evaluate(AXE.read_text())

        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert await page.evaluate(VIOLATIONS) == [], scheme

        await page.set_viewport_size({"width": 320, "height": 700})
        assert not await page.evaluate(TOO_WIDE)


def test_the_compressed_scripts_of_the_page_have_at_most_120_000_bytes() -> None:
    scripts = list((WEB / "dist" / "assets").glob("*.js"))

    assert scripts
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) <= SCRIPT_MAX
