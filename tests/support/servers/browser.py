"""A real Chromium."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

LAUNCHER = Path(__file__).parent / "chromium.sh"
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first one found is used. `chromium-headless-shell` has no window, menus or extensions, and uses two thirds of Chromium's CPU time."""
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start a browser. Each context has its own cookies and storage, like the browser of another person."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=LAUNCHER, headless=True, args=OPTIONS, env={**os.environ, "CHROMIUM": program}
        )
        yield browser
        await browser.close()
