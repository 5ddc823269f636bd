"""`make screenshots`: the page in every state, narrow and wide, light and dark."""

import asyncio
import tempfile
from pathlib import Path

from dev.postgres import temporary
from tests.support.page_states import STATES, TOKEN_LIFETIME
from tests.support.servers.browser import chromium
from tests.support.servers.site import site_of

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
SIZES = {"narrow": {"width": 360, "height": 740}, "wide": {"width": 1100, "height": 760}}


async def main() -> None:
    """Make all screenshots."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, temporary(Path(folder) / "postgres") as postgres:
        async with site_of(postgres, Path(folder), life=TOKEN_LIFETIME) as site, chromium() as browser:
            with site.api():
                for name, state in STATES.items():
                    async with await browser.new_context() as context:
                        page = await context.new_page()
                        await state(page, site)
                        for size, viewport in SIZES.items():
                            await page.set_viewport_size(viewport)  # type: ignore[arg-type]
                            for scheme in ("light", "dark"):
                                await page.emulate_media(color_scheme=scheme)
                                await page.screenshot(path=FOLDER / f"{name}-{size}-{scheme}.png")
                        print(f"  ✓ {name}", flush=True)  # noqa: T201 - progress for the person who runs this


if __name__ == "__main__":
    asyncio.run(main())
