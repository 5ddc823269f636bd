"""Visitors of the Next.js app: of the documentation's pages, and of a team's own page."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from playwright.async_api import BrowserContext, Page, expect

from tests.e2e.front_ends.site import Site

PASSWORD = "correct horse battery"


def address(name: str) -> str:
    return f"{name}-{uuid4().hex[:8]}@example.com"


@dataclass
class Visitor:
    """A person at the app."""

    page: Page
    site: Site
    email: str

    @classmethod
    async def with_account(cls, site: Site, device: BrowserContext, name: str = "ann") -> "Visitor":
        """Make an account with the form of the documentation."""
        visitor = cls(await device.new_page(), site, address(name))
        await visitor.page.clock.install()
        await visitor.page.goto(f"{site.url}/sign-in")
        await visitor.press("Make an account")
        await visitor.page.get_by_label("Name").fill(name)
        await visitor._enter("Sign up")
        return visitor

    async def sign_in(self, page: Page | None = None) -> None:
        """Sign in with the form on this page, or on the given page."""
        where = Visitor(page or self.page, self.site, self.email)
        await where._enter("Sign in")

    async def _enter(self, button: str) -> None:
        await self.page.get_by_label("E-mail").fill(self.email)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.press(button)
        await expect(self.field).to_be_visible()

    @property
    def field(self) -> Any:
        """The field for a new task."""
        return self.page.get_by_label("New task")

    def task(self, title: str) -> Any:
        """Return a task of the list that is shown."""
        return self.page.get_by_role("listitem").filter(has_text=title)

    async def press(self, button: str) -> None:
        await self.page.get_by_role("button", name=button, exact=True).click()

    async def add(self, title: str) -> None:
        await self.field.fill(title)
        await self.press("Add")
        await expect(self.task(title)).to_be_visible()

    async def sees_alert(self, text: str) -> None:
        await expect(self.page.get_by_role("alert").filter(has_text=text)).to_be_visible()

    async def let_token_expire(self) -> None:
        """Let a quarter of an hour go by, as far as the page can see."""
        await self.page.clock.fast_forward("16:00")

    @property
    def titles(self) -> list[str]:
        """The titles in this person's list, read from the database."""
        return self.site.titles_of(self.email)


@dataclass
class Team:
    """The team's one page, which never navigates."""

    page: Page
    site: Site

    async def sees_who_is_signed_in(self, who: str) -> None:
        await expect(self.page.get_by_text(f"Signed in: {who}")).to_be_visible()

    async def sign_up(self, name: str) -> str:
        email = address(name)
        await self.page.get_by_label("E-mail").fill(email)
        await self.press("Sign up")
        await self.sees_who_is_signed_in(email)
        return email

    async def sign_out(self) -> None:
        await self.press("Sign out")
        await self.sees_who_is_signed_in("nobody")

    async def press(self, button: str) -> None:
        await self.page.get_by_role("button", name=button, exact=True).click()

    async def type(self, title: str) -> None:
        await self.page.get_by_label("New task").fill(title)

    async def add(self, title: str) -> None:
        await self.type(title)
        await self.press("Add")
        await self.sees_status(f"kept {title}")

    async def mark_page(self) -> None:
        """Set a flag on `window`, which is lost if the page is loaded again."""
        await self.page.evaluate("window.isMarked = true")

    async def wait_for_reload(self) -> None:
        await self.page.wait_for_function("!window.isMarked")

    async def wait_for_answer(self, title: str) -> None:
        """Wait until the page shows the result of a task, or was loaded again."""
        await self.page.wait_for_function(
            "(title) => !window.isMarked || document.querySelector('[role=status]')?.textContent.endsWith(title)",
            arg=title,
        )

    async def sees_status(self, text: str) -> None:
        await expect(self.page.get_by_role("status")).to_have_text(text)


async def team_page(site: Site, context: BrowserContext, query: str = "") -> Team:
    page = await context.new_page()
    await page.goto(f"{site.url}/team{query}")
    return Team(page, site)
