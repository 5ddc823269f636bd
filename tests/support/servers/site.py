"""The page and its servers: a real Better Auth, the API in its own process, and PostgreSQL."""

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
    auth_database: str  # the name of Better Auth's database
    api_env: dict[str, str]
    folder: Path

    @property
    def url(self) -> str:
        return self.auth.url

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_env['PORT']}"

    @contextmanager
    def api(self) -> Iterator[Service]:
        """Serve the API until the block ends. Each call uses the same port."""
        with serving(self.api_env, self.folder) as service:
            yield service

    async def end_sessions(self) -> None:
        """Delete every session from Better Auth's database."""
        self.postgres.query("DELETE FROM session", self.auth_database)


@asynccontextmanager
async def site_of(postgres: PostgresServer, folder: Path, **options: Any) -> AsyncIterator[Site]:
    """Start everything except the API, which `Site.api` starts. `options` are those of `better_auth`."""
    if not (WEB / "dist" / "index.html").exists():
        pytest.skip("needs the page, which `make setup` builds")
    api_port, tasks, people = free_port(), await migrated_database(postgres), postgres.new_database()
    async with better_auth(people, api_url=f"http://127.0.0.1:{api_port}", **options) as auth:
        api_env = {
            "DATABASE_URL": tasks,
            "BETTER_AUTH_URL": auth.url,
            "PORT": str(api_port),
            "LOG_FORMAT": "json",
        }
        yield Site(auth, postgres, people.rpartition("/")[2], api_env, folder)


async def ask(page: Page, site: Site, method: str, path: str, body: object = None) -> Any:
    """Send a request of the person at the page to the API, as another device would. Return the JSON of the response."""
    return await page.evaluate(
        """async ([api, method, path, body]) => {
          const {token} = await (await fetch("/api/auth/token")).json();
          const headers = {authorization: `Bearer ${token}`, "content-type": "application/json"};
          if (method === "PATCH") headers["content-type"] = "application/merge-patch+json";
          const answer = await fetch(`${api}/api/me/tasks${path}`,
            {method, headers, ...(body === null ? {} : {body: JSON.stringify(body)})});
          return answer.status === 204 ? null : await answer.json();
        }""",
        [site.api_url, method, path, body],
    )


@dataclass
class Visitor:
    """A person at the page."""

    page: Page
    site: Site
    email: str

    @classmethod
    async def signed_up(cls, page: Page, site: Site, name: str = "Ann") -> "Visitor":
        """Make an account in the page."""
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
        """Sign in with the visitor's e-mail address and password."""
        await self.page.get_by_label("E-mail").fill(self.email)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(self.page.get_by_label("New task")).to_be_visible()

    async def add(self, *titles: str) -> None:
        """Type the titles of new tasks, each with Enter, and wait until each is saved."""
        LOGS.note(*titles)
        for title in titles:
            await self.page.get_by_label("New task").fill(title)
            await self.page.keyboard.press("Enter")
            await expect(self.checkbox(title)).to_be_enabled()

    def checkbox(self, title: str) -> Any:
        """Return the checkbox that completes a task."""
        return self.page.get_by_role("checkbox", name=f"Done: {title}", exact=True)

    async def show(self, which: str) -> None:
        """Choose which tasks the list shows: Open, Done, All or Trash."""
        await self.page.get_by_role("group", name="Which tasks").get_by_role("button", name=which).click()

    async def titles(self) -> list[str]:
        """Return the titles in the list."""
        texts = await self.page.locator(".task .title").all_inner_texts()
        return [text.removesuffix(", edit").strip() for text in texts]  # screen readers read ", edit"

    async def edit(self, title: str, **fields: str) -> None:
        """Open a task in the editor and fill in fields, without saving."""
        await self.page.locator(".task .title").filter(has_text=title).click()
        for label, value in fields.items():
            field = self.page.locator(".editor").get_by_label(label)
            if label == "Priority":
                await field.select_option(value)
            else:
                await field.fill(value)
