"""The forms of the page keep what a person typed until it is saved or discarded, and say what is wrong with it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Dialog, Page, expect

from tests.support.servers.site import Site, Visitor

pytestmark = pytest.mark.server


def notes(page: Page) -> Any:
    """Return the notes of the open editor."""
    return page.locator(".editor").get_by_label("Notes")


async def shown_for(page: Page, act: Callable[[], Awaitable[Any]], query: str) -> None:
    """Change what the list shows, and wait for the answer of the list with this in its query."""
    async with page.expect_response(lambda response: "/tasks?" in response.url and query in response.url):
        await act()


async def with_unsaved_notes(page: Page, site: Site) -> Visitor:
    """Add two tasks, and type notes for one in the editor without saving them."""
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk", "Bread")
    await ann.edit("Bread", Tags="kitchen,")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".editor")).to_have_count(0)
    await ann.edit("Milk", Notes="two litres")
    return ann


async def search_for_another(ann: Visitor) -> None:
    await ann.page.get_by_label("Search").fill("bread")


async def click_a_tag(ann: Visitor) -> None:
    await ann.page.get_by_role("button", name="Show tasks tagged kitchen").click()


@pytest.mark.parametrize(
    ("change", "query"),
    [
        (lambda ann: ann.show("Done"), "completed=true"),
        (lambda ann: ann.show("Trash"), "trashed=true"),
        (search_for_another, "q=bread"),
        (click_a_tag, "tag=kitchen"),
    ],
    ids=["done", "trash", "search", "tag"],
)
async def test_unsaved_text_stays_in_its_form_when_another_list_is_shown(
    site: Site, page: Page, change: Callable[[Visitor], Awaitable[None]], query: str
) -> None:
    ann = await with_unsaved_notes(page, site)

    await shown_for(page, lambda: change(ann), query)
    await expect(ann.checkbox("Bread")).to_have_count(1 if "bread" in query or "tag" in query else 0)
    await expect(notes(page)).to_have_value("two litres")
    await page.get_by_role("button", name="Save", exact=True).click()

    await expect(page.locator(".editor")).to_have_count(0)
    await expect(page.locator(".task").filter(has_text="Milk")).to_have_count(0)
    await page.get_by_label("Search").fill("")
    if "tag" in query:
        await page.get_by_role("button", name="Show all").click()
    await ann.show("Open")
    await expect(page.get_by_text("two litres")).to_be_visible()


async def test_unsaved_text_stays_in_its_form_when_another_order_has_the_task_on_a_later_page(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Zulu")
    await page.evaluate(
        """async (api) => {
          const {token} = await (await fetch("/api/auth/token")).json();
          const headers = {authorization: `Bearer ${token}`, "content-type": "application/json"};
          const operations = [...Array(60).keys()].map((n) => ({op: "create", title: `Alpha ${n}`}));
          await fetch(`${api}/api/me/tasks/batch`, {method: "POST", headers, body: JSON.stringify({operations})});
        }""",
        site.api_url,
    )
    await page.reload()
    await page.get_by_label("Search").fill("zulu")
    await expect(page.locator(".task")).to_have_count(1)
    await ann.edit("Zulu", Notes="mine")
    await page.get_by_label("Search").fill("")

    await shown_for(page, lambda: page.get_by_label("Order").select_option("title"), "sort=title")

    await expect(page.locator(".task .title").filter(has_text="Alpha 0")).to_be_visible()
    await expect(notes(page)).to_have_value("mine")


async def test_a_form_without_changes_is_closed_when_another_list_is_shown(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    await ann.edit("Milk")

    await ann.show("Done")

    await expect(page.get_by_role("heading", name="Nothing done yet")).to_be_visible()
    await expect(page.locator(".editor")).to_have_count(0)


async def test_a_form_that_is_closed_in_a_list_without_its_task_leaves_it(site: Site, page: Page) -> None:
    ann = await with_unsaved_notes(page, site)
    await ann.show("Done")
    await expect(ann.checkbox("Bread")).to_have_count(0)

    await page.keyboard.press("Tab")
    await notes(page).press("Escape")
    await page.get_by_role("dialog").get_by_role("button", name="Discard").click()

    await expect(page.get_by_role("heading", name="Nothing done yet")).to_be_visible()


async def test_an_edit_that_could_not_be_saved_offline_is_still_there_after_a_search_and_online_again(
    site: Site, page: Page
) -> None:
    await with_unsaved_notes(page, site)
    await page.context.set_offline(True)  # noqa: FBT003 - Playwright's parameter
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".editor")).to_contain_text("Not saved. The server cannot be reached")
    await page.get_by_label("Search").fill("bread")
    await expect(page.locator(".banner")).to_contain_text(["You are offline", "cannot be reached"])

    async def online() -> None:
        await page.context.set_offline(False)  # noqa: FBT003 - Playwright's parameter

    await shown_for(page, online, "q=bread")

    await expect(page.locator(".banner")).to_have_count(0)
    await expect(notes(page)).to_have_value("two litres")


async def test_sign_out_asks_before_it_discards_unsaved_text(site: Site, page: Page) -> None:
    await with_unsaved_notes(page, site)

    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("dialog").get_by_role("button", name="Keep editing").click()
    await expect(notes(page)).to_have_value("two litres")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("dialog").get_by_role("button", name="Discard and sign out").click()

    await expect(page.get_by_label("E-mail")).to_be_visible()


async def test_the_browser_asks_before_a_page_with_unsaved_text_is_loaded_again_and_no_other(
    site: Site, page: Page
) -> None:
    asked = list[str]()

    async def agree(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    page.on("dialog", agree)
    ann = await with_unsaved_notes(page, site)

    await page.reload()
    assert asked == ["beforeunload"]
    await ann.edit("Milk", Notes="two litres")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".editor")).to_have_count(0)
    await page.reload()
    assert asked == ["beforeunload"]
    await page.get_by_label("New task").fill("half a thought")
    await page.reload()

    assert asked == ["beforeunload", "beforeunload"]


async def test_a_half_typed_new_task_is_still_there_after_a_visit_to_the_trash(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await page.get_by_label("New task").fill("half a thought")
    await ann.show("Trash")
    await expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()

    await ann.show("Open")

    await expect(page.get_by_label("New task")).to_have_value("half a thought")
