"""A person in one tab of a documented app."""

from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

from playwright.async_api import BrowserContext, Page, expect

from tests.e2e.front_ends.site import Site

PASSWORD = "correct horse battery"


def new_email(name: str) -> str:
    """Return an e-mail address that no account has."""
    return f"{name}-{uuid4().hex[:8]}@example.com"


@dataclass
class Visitor:
    """A person in one tab. The methods expect the forms and buttons of docs/front-ends.md."""

    page: Page
    site: Site
    email: str

    @classmethod
    async def with_account(cls, site: Site, device: BrowserContext, name: str = "ann") -> Self:
        """Open a tab on a device and make an account."""
        visitor = cls(await device.new_page(), site, new_email(name))
        await visitor.page.clock.install()
        await visitor.page.goto(f"{site.url}{site.sign_in_path}")
        await visitor.sign_up(name)
        return visitor

    async def sign_up(self, name: str) -> None:
        await self.press("Make an account")
        await self.page.get_by_label("Name").fill(name)
        await self._submit("Sign up")

    async def sign_in(self) -> None:
        await self._submit("Sign in")

    async def _submit(self, button: str) -> None:
        await self.page.get_by_label("E-mail").fill(self.email)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.press(button)
        await expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    @property
    def new_task(self) -> Any:
        """The field for the title of a new task."""
        return self.page.get_by_label("New task")

    def task(self, title: str) -> Any:
        """Return the list item of a task."""
        return self.page.get_by_role("listitem").filter(has_text=title)

    async def press(self, button: str) -> None:
        await self.page.get_by_role("button", name=button, exact=True).click()

    async def add(self, title: str) -> None:
        """Add a task, and wait until the list shows it."""
        await self.new_task.fill(title)
        await self.press("Add")
        await expect(self.task(title)).to_be_visible()

    async def sees_alert(self, text: str) -> None:
        """Wait until an alert contains the text."""
        await expect(self.page.get_by_role("alert").filter(has_text=text)).to_be_visible()

    async def let_token_expire(self) -> None:
        """Set the clock of the page 16 minutes forward; a token lasts 15 minutes."""
        await self.page.clock.fast_forward("16:00")

    @property
    def titles(self) -> list[str]:
        """The titles of this person's tasks, read from the database."""
        return self.site.titles_of(self.email)
