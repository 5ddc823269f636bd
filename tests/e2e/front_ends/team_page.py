"""The page `/team` in a browser: it belongs to a team with its own client of Better Auth."""

from dataclasses import dataclass

from playwright.async_api import BrowserContext, Page, expect

from tests.e2e.front_ends.site import Site
from tests.e2e.front_ends.visitor import new_email


@dataclass
class TeamPage:
    """The page `/team` in one tab. Nothing on it leads to another page."""

    page: Page
    site: Site

    async def sees_who_is_signed_in(self, who: str) -> None:
        await expect(self.page.get_by_text(f"Signed in: {who}")).to_be_visible()

    async def sign_up(self, name: str) -> str:
        """Make an account, and return its e-mail address."""
        email = new_email(name)
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
        """Type the title of a new task, without adding the task."""
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
        """Wait until the page shows whether the task with this title was added, or was loaded again."""
        await self.page.wait_for_function(
            "(title) => !window.isMarked || document.querySelector('[role=status]')?.textContent.endsWith(title)",
            arg=title,
        )

    async def sees_status(self, text: str) -> None:
        await expect(self.page.get_by_role("status")).to_have_text(text)


async def open_team_page(site: Site, context: BrowserContext, query: str = "") -> TeamPage:
    page = await context.new_page()
    await page.goto(f"{site.url}/team{query}")
    return TeamPage(page, site)
