"""The page for somebody who has a keyboard, a screen reader or a small screen: in a real browser."""

from typing import Any

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.support.servers.site import PASSWORD, Site, Visitor, ask

pytestmark = pytest.mark.server

PHONE: ViewportSize = {"width": 360, "height": 640}
COVERED = """() => [...document.querySelectorAll("button, input, select, textarea, label.check")]
  .filter((target) => !target.closest("label.check") || target.matches("label.check"))
  .filter((target) => {
    const {left, top, width, height} = target.getBoundingClientRect();
    const there = document.elementFromPoint(left + width / 2, top + height / 2); // `null`: not in the viewport
    return width > 0 && there !== null && !target.contains(there);
  })
  .map((target) => `${target.tagName} ${target.className} ${target.getAttribute("aria-label") ?? target.textContent}`)"""
"""Returns a text for each button or field in the viewport whose centre is covered by another element."""


def title_button(page: Page, title: str) -> Any:
    """Return the button that opens a task."""
    return page.locator(".task button.title").filter(has_text=title)


def announcement(page: Page) -> Any:
    """Return the element whose text screen readers announce."""
    return page.locator(".announcement[role=status]")


async def test_when_a_sign_in_form_opens_its_first_field_has_the_focus(site: Site, page: Page) -> None:
    await page.goto(site.url)
    await expect(page.get_by_label("E-mail")).to_be_focused()
    await page.keyboard.press("Shift+Tab")
    await page.get_by_role("button", name="Make an account").press("Enter")
    await expect(page.get_by_label("Name")).to_be_focused()

    for text in ("Ann", "ann-by-keyboard@example.com", PASSWORD):
        await page.keyboard.type(text)
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("New task")).to_be_focused()
    await page.get_by_role("button", name="Sign out").press("Enter")

    await expect(page.get_by_label("E-mail")).to_be_focused()


async def test_a_refused_sign_in_leaves_the_focus_on_the_button(site: Site, page: Page) -> None:
    await page.goto(site.url)
    await page.get_by_label("E-mail").fill("nobody@example.com")
    await page.get_by_label("Password").fill("not the right one")

    await page.get_by_role("button", name="Sign in", exact=True).press("Enter")

    await expect(page.get_by_role("alert")).to_contain_text("Invalid")
    await expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_focused()


@pytest.mark.parametrize("keys", ["Control+z", "Meta+z"])
async def test_ctrl_z_undoes_a_deletion_and_the_task_has_the_focus_again(
    site: Site, page: Page, keys: str
) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Bread", "Milk", "Rent")

    await page.get_by_role("button", name="Delete Milk").press("Enter")
    await expect(title_button(page, "Bread")).to_be_focused()
    await expect(announcement(page)).to_have_text("“Milk” is in the trash. Ctrl+Z undoes it.")
    await expect(page.get_by_role("button", name="Undo")).to_have_attribute(
        "aria-keyshortcuts", "Control+Z Meta+Z"
    )
    await page.keyboard.press(keys)

    await expect(title_button(page, "Milk")).to_be_focused()
    await expect(announcement(page)).to_have_text("“Milk” is back.")
    assert await ann.titles() == ["Rent", "Milk", "Bread"]
    assert len(await ask(page, site, "GET", "")) == 3


async def test_ctrl_z_in_a_field_or_a_dialog_undoes_no_deletion(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Bread", "Milk")
    await page.get_by_role("button", name="Delete Milk").press("Enter")
    await page.get_by_label("New task").fill("half a thought")
    await page.keyboard.press("Control+z")
    await ann.edit("Bread", Notes="brown")
    await page.keyboard.press("Control+z")
    await page.locator(".editor").get_by_label("Notes").fill("dark")
    await page.keyboard.press("Escape")
    await page.get_by_role("dialog").get_by_role("button", name="Keep editing").press("Control+z")

    await page.get_by_role("dialog").get_by_role("button", name="Discard").press("Enter")

    await expect(title_button(page, "Bread")).to_be_focused()
    await expect(ann.checkbox("Milk")).to_have_count(0)
    await page.keyboard.press("Control+z")
    await expect(ann.checkbox("Milk")).to_be_visible()


async def test_undo_is_where_the_deleted_task_was_two_shift_tabs_before_the_next_task(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add(*(f"task {number}" for number in range(8)))
    await page.get_by_role("button", name="Delete task 4").press("Enter")
    await expect(title_button(page, "task 3")).to_be_focused()
    places = page.locator(".tasks > li")
    await expect(places.nth(3)).to_contain_text("“task 4” is in the trash.")

    undo = page.get_by_role("button", name="Undo")
    for _ in range(2):
        await page.keyboard.press("Shift+Tab")
    await expect(undo).to_be_focused()
    await page.keyboard.press("Enter")

    await expect(title_button(page, "task 4")).to_be_focused()
    await expect(undo).to_have_count(0)
    assert await ann.titles() == [f"task {number}" for number in reversed(range(8))]


async def test_when_the_last_task_leaves_the_list_undo_has_the_focus(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")

    await page.get_by_role("button", name="Delete Milk").press("Enter")
    await expect(page.get_by_role("button", name="Undo")).to_be_focused()
    await page.keyboard.press("Enter")

    await expect(title_button(page, "Milk")).to_be_focused()


async def test_undo_is_not_offered_in_another_list(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Bread", "Milk")
    await page.get_by_role("button", name="Delete Milk").press("Enter")
    await expect(page.get_by_role("button", name="Undo")).to_be_visible()

    await ann.show("All")

    await expect(page.get_by_role("button", name="Undo")).to_have_count(0)


async def test_a_task_that_another_device_deletes_gives_its_focus_to_the_next_one(
    site: Site, page: Page
) -> None:
    async with page.expect_response("**/api/me/tasks/events?*"):
        ann = await Visitor.signed_up(page, site)
    await ann.add("Bread", "Milk", "Rent")
    tasks = {task["title"]: task["id"] for task in await ask(page, site, "GET", "")}
    await ann.checkbox("Milk").focus()

    await ask(page, site, "DELETE", f"/{tasks['Milk']}")

    await expect(ann.checkbox("Milk")).to_have_count(0)
    await expect(title_button(page, "Bread")).to_be_focused()


async def test_on_a_small_screen_undo_covers_no_button(site: Site, page: Page) -> None:
    await page.set_viewport_size(PHONE)
    ann = await Visitor.signed_up(page, site)
    await ann.add(*(f"task {number}" for number in range(12)))
    await page.get_by_role("button", name="Delete task 8").click()
    await expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert await page.evaluate(COVERED) == []

    await ann.edit("task 7")
    await expect(page.locator(".editor")).to_be_visible()

    height = await page.evaluate("document.documentElement.scrollHeight")
    for top in range(0, height, 40):
        await page.evaluate("(top) => scrollTo(0, top)", top)
        assert await page.evaluate(COVERED) == [], top


async def test_on_a_small_screen_a_notice_does_not_cover_the_buttons_of_the_form_in_use(
    site: Site, page: Page
) -> None:
    await page.set_viewport_size(PHONE)
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk", *(f"task {number}" for number in range(9)))
    await page.get_by_label("New task").fill("x" * 256)
    await ann.edit("Milk")
    save = page.get_by_role("button", name="Save", exact=True)
    await save.evaluate("(save) => scrollBy(0, save.getBoundingClientRect().bottom - innerHeight + 8)")

    submit = "document.querySelector('form.add').requestSubmit()"  # without a click, so the focus stays
    await page.evaluate(submit)
    await expect(page.locator(".notice")).to_contain_text("at most 255 fit")

    await expect(save).to_be_in_viewport(ratio=1)
    assert [each for each in await page.evaluate(COVERED) if "Save" in each or "Cancel" in each] == []
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    assert await page.evaluate(COVERED) == []


async def test_leaving_the_trash_keeps_the_focus_on_the_filter_and_what_was_typed(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await page.get_by_label("New task").fill("half a title")
    await ann.show("Trash")
    await expect(page.get_by_label("New task")).to_be_hidden()

    await ann.show("Open")

    await expect(page.get_by_role("button", name="Open", exact=True)).to_be_focused()
    await expect(page.get_by_label("New task")).to_have_value("half a title")


async def test_a_notice_stays_while_the_pointer_or_the_focus_is_in_it(site: Site, page: Page) -> None:
    await page.clock.install()
    await Visitor.signed_up(page, site)
    await page.get_by_label("New task").fill("x" * 256)
    await page.keyboard.press("Enter")
    close = page.locator(".notice").get_by_role("button", name="Close")
    await close.focus()
    await page.clock.fast_forward(30_000)
    await expect(close).to_be_focused()
    await page.get_by_label("New task").focus()
    await close.hover()
    await page.clock.fast_forward(30_000)
    await expect(close).to_be_visible()
    await close.focus()
    await page.get_by_label("Search").hover()
    await page.clock.fast_forward(30_000)
    await expect(close).to_be_focused()

    await page.get_by_label("New task").focus()
    await page.clock.fast_forward(11_000)

    await expect(close).to_have_count(0)


async def test_a_move_is_announced_with_the_new_position_and_keeps_the_focus_in_sight(
    site: Site, page: Page
) -> None:
    await page.set_viewport_size(PHONE)
    ann = await Visitor.signed_up(page, site)
    await ann.add(*(f"task {number}" for number in range(12)))
    await page.get_by_label("Order").select_option("position")
    titles = await ann.titles()
    await expect(page.get_by_role("button", name=f"Move {titles[0]} down")).to_be_visible()
    down = page.get_by_role("button", name=f"Move {titles[0]} down")

    for position in range(2, 13):
        await down.press("Enter")
        await expect(announcement(page)).to_have_text(f"“{titles[0]}”, position {position} of 12.")
        await expect(down).to_be_focused()
        await expect(down).to_be_in_viewport(ratio=1)
    await down.press("Enter")
    await expect(announcement(page)).to_have_text(f"“{titles[0]}” is the last one.")
    await page.get_by_role("button", name=f"Move {titles[1]} up").press("Enter")
    await expect(announcement(page)).to_have_text(f"“{titles[1]}” is the first one.")
    assert await ann.titles() == [*titles[1:], titles[0]]


async def test_the_number_of_found_tasks_is_announced(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("red wine", "red cloth", "blue cloth")
    search = page.get_by_label("Search")

    await search.fill("red")
    await expect(announcement(page)).to_have_text("2 tasks were found.")
    await search.fill("wine")
    await expect(announcement(page)).to_have_text("1 task was found.")
    await search.fill("nowhere")
    await expect(announcement(page)).to_have_text("No task was found.")
    await search.fill("")
    await expect(page.locator(".task")).to_have_count(3)

    await expect(announcement(page)).to_have_text("")
