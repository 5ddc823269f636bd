"""The page with everything behind it: a real Better Auth, the API in a process of its own, PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect

from dev.postgres import PostgresServer, free_port
from tests.support.log_search import LOGS
from tests.support.servers.better_auth import WEB, BetterAuth, better_auth
from tests.support.servers.migrated import migrated_database
from tests.support.servers.service import Service, serving

PASSWORD = "correct horse battery"


@dataclass
class Site:
    """The URL of the page, and the servers behind it."""

    auth: BetterAuth
    postgres: PostgresServer
    database: str  # of Better Auth
    env: dict[str, str]  # of the API
    folder: Path

    @property
    def url(self) -> str:
        return self.auth.url

    @contextmanager
    def api(self) -> Iterator[Service]:
        """Serve the API, until the end; a second time on the same port."""
        with serving(self.env, self.folder) as service:
            yield service

    async def end_sessions(self) -> None:
        """Remove every session, as an operator might."""
        self.postgres.query("DELETE FROM session", self.database)


@asynccontextmanager
async def site_of(postgres: PostgresServer, folder: Path, **variant: Any) -> AsyncIterator[Site]:
    """Start everything but the API, in the order in which it needs each other."""
    if not (WEB / "dist" / "index.html").exists():
        pytest.skip("needs the page, which `make setup` builds")
    api_port, tasks, people = free_port(), await migrated_database(postgres), postgres.new_database()
    async with better_auth(people, api_url=f"http://127.0.0.1:{api_port}", **variant) as auth:
        env = {
            "DATABASE_URL": tasks,
            "BETTER_AUTH_URL": auth.url,
            "PORT": str(api_port),
            "LOG_FORMAT": "json",
        }
        yield Site(auth, postgres, people.rpartition("/")[2], env, folder)


@dataclass
class Visitor:
    """A person at the page."""

    page: Page
    site: Site
    email: str

    @classmethod
    async def signed_up(cls, page: Page, site: Site, name: str = "Ann") -> "Visitor":
        """Make an account, as a person does."""
        visitor = cls(page, site, f"{name.lower()}-{uuid4().hex[:8]}@example.com")
        await page.goto(site.url)
        await page.get_by_role("button", name="Make an account").click()
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("E-mail").fill(visitor.email)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign up").click()
        await expect(page.get_by_label("New task")).to_be_visible()
        return visitor

    async def sign_in(self) -> None:
        """Sign in with what was chosen at first."""
        await self.page.get_by_label("E-mail").fill(self.email)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(self.page.get_by_label("New task")).to_be_visible()

    async def add(self, *titles: str) -> None:
        """Write tasks down, each with Enter, and see them kept."""
        LOGS.note(*titles)
        for title in titles:
            await self.page.get_by_label("New task").fill(title)
            await self.page.keyboard.press("Enter")
            await expect(self.done(title)).to_be_enabled()

    def done(self, title: str) -> Any:
        """Return the box that says whether a task is done."""
        return self.page.get_by_role("checkbox", name=f"Done: {title}", exact=True)

    async def show(self, which: str) -> None:
        """Choose which tasks are shown."""
        await self.page.get_by_role("group", name="Which tasks").get_by_role("button", name=which).click()

    async def titles(self) -> list[str]:
        """Return what the list shows."""
        texts = await self.page.locator(".task .title").all_inner_texts()
        return [text.removesuffix(", edit").removesuffix("\n, edit").strip() for text in texts]

    async def edit(self, title: str, **fields: str) -> None:
        """Open a task, write, and leave it open."""
        await self.page.locator(".task .title").filter(has_text=title).click()
        for label, value in fields.items():
            field = self.page.locator(".editor").get_by_label(label)
            if label == "Priority":
                await field.select_option(value)
            else:
                await field.fill(value)
