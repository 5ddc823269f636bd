"""Functions that bring the page into each of its states, for the accessibility tests and the screenshots."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from playwright.async_api import Page, expect

from tests.support.servers.site import Site, Visitor, ask

TOKEN_LIFETIME = "4s"  # of a site whose page soon notices that a session has ended
UNTIL_RENEWAL = 2500  # milliseconds: after half the lifetime, the page's next request gets a new token


async def signed_out(page: Page, site: Site) -> None:
    await page.goto(site.url)
    await expect(page.get_by_label("E-mail")).to_be_visible()


async def sign_up_with_errors(page: Page, site: Site) -> None:
    await signed_out(page, site)
    await page.get_by_role("button", name="Make an account").click()
    await page.get_by_label("Name").fill("Ann")
    await page.get_by_label("E-mail").fill("ann")
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("alert")).not_to_be_empty()


async def empty_list(page: Page, site: Site) -> None:
    await Visitor.signed_up(page, site)
    await expect(page.get_by_role("heading", name="No tasks yet")).to_be_visible()


async def long_list(page: Page, site: Site) -> Visitor:
    ann = await Visitor.signed_up(page, site)
    today = datetime.now(UTC).date()
    details: list[dict[str, str]] = [
        {"Title": "Send the invoice for October", "Priority": "high", "Due": f"{today - timedelta(days=2)}"},
        {"Title": "Water the plants", "Notes": "The fern too, and sparingly.", "Tags": "home, garden"},
        {"Title": "Läufer für den Flur messen", "Tags": "school"},
        {"Title": "Call the dentist about Tuesday", "Due": f"{today}", "Priority": "medium"},
        {"Title": "Read “The Trial”"},
        {
            "Title": "Measure the hall for a runner, then ask at the shop on the corner whether they cut to size"
        },
        {"Title": "Buy milk, bread and coffee", "Priority": "low", "Due": f"{today + timedelta(days=1)}"},
    ]
    for task in details:
        title = task.pop("Title")
        await ann.add(title)
        if task:
            await ann.edit(title, **task)
            await page.get_by_role("button", name="Save").click()
            await expect(page.locator(".editor")).to_have_count(0)
    await ann.checkbox("Read “The Trial”").check()
    return ann


async def editing(page: Page, site: Site) -> None:
    ann = await long_list(page, site)
    await ann.edit("Water the plants")


async def conflict(page: Page, site: Site) -> None:
    ann = await long_list(page, site)
    await ann.edit("Water the plants", Notes="Only the fern.", Priority="low")
    (task,) = await ask(page, site, "GET", "?q=plants")
    await ask(page, site, "PATCH", f"/{task['id']}", {"description": "Twice a week.", "priority": "high"})
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".conflict")).to_be_visible()


async def delete_forever(page: Page, site: Site) -> None:
    ann = await long_list(page, site)
    await page.get_by_role("button", name="Delete Buy milk").click()
    await ann.show("Trash")
    await page.get_by_role("button", name="Delete forever: Buy milk").click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def undo_offered(page: Page, site: Site) -> None:
    await long_list(page, site)
    await page.get_by_role("button", name="Delete Water the plants").click()
    await expect(page.get_by_role("button", name="Undo")).to_be_visible()


async def session_over(page: Page, site: Site) -> None:
    ann = await long_list(page, site)
    await ann.edit("Water the plants", Title="Water the plants before they")
    await site.end_sessions()
    await page.wait_for_timeout(UNTIL_RENEWAL)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()


async def offline(page: Page, site: Site) -> None:
    await long_list(page, site)
    await page.context.set_offline(True)
    await expect(page.get_by_text("You are offline")).to_be_visible()


STATES: Mapping[str, Callable[[Page, Site], Awaitable[object]]] = {
    "signed-out": signed_out,
    "sign-up-with-errors": sign_up_with_errors,
    "empty-list": empty_list,
    "long-list": long_list,
    "editing": editing,
    "conflict": conflict,
    "delete-forever": delete_forever,
    "undo-offered": undo_offered,
    "session-over": session_over,
    "offline": offline,
}
