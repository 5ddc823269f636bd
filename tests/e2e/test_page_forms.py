"""The forms of the page keep what a person typed until it is saved or discarded, and say what is wrong with it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Dialog, Page, Route, expect

from tests.support.servers.site import PASSWORD, Site, Visitor, ask

pytestmark = pytest.mark.server


def notes(page: Page) -> Any:
    """Return the notes of the open editor."""
    return page.locator(".editor").get_by_label("Notes")


async def wait_for_list(page: Page, act: Callable[[], Awaitable[Any]], query: str) -> None:
    """Act, and wait for the response to a request of the list whose URL contains `query`."""
    async with page.expect_response(lambda response: "/tasks?" in response.url and query in response.url):
        await act()


async def type_unsaved_notes(page: Page, site: Site) -> Visitor:
    """Add two tasks, and type notes for one in the editor without saving them."""
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk", "Bread")
    await ann.edit("Bread", Tags="kitchen,")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".editor")).to_have_count(0)
    await ann.edit("Milk", Notes="two litres")
    return ann


async def add_many(page: Page, site: Site) -> None:
    """Store 60 tasks, more than a page of the list has."""
    await page.evaluate(
        """async (api) => {
          const {token} = await (await fetch("/api/auth/token")).json();
          const headers = {authorization: `Bearer ${token}`, "content-type": "application/json"};
          const operations = [...Array(60).keys()].map((n) => ({op: "create", title: `Alpha ${n}`}));
          await fetch(`${api}/api/me/tasks/batch`, {method: "POST", headers, body: JSON.stringify({operations})});
        }""",
        site.api_url,
    )


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
    ann = await type_unsaved_notes(page, site)

    await wait_for_list(page, lambda: change(ann), query)
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
    await add_many(page, site)
    await page.reload()
    await page.get_by_label("Search").fill("zulu")
    await expect(page.locator(".task")).to_have_count(1)
    await ann.edit("Zulu", Notes="mine")
    await page.get_by_label("Search").fill("")

    await wait_for_list(page, lambda: page.get_by_label("Order").select_option("title"), "sort=title")

    await expect(page.locator(".task .title").filter(has_text="Alpha 0")).to_be_visible()
    await expect(notes(page)).to_have_value("mine")


async def test_a_form_without_changes_is_closed_when_another_list_is_shown(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    await ann.edit("Milk")

    await ann.show("Done")

    await expect(page.get_by_role("heading", name="Nothing done yet")).to_be_visible()
    await expect(page.locator(".editor")).to_have_count(0)


async def test_a_form_in_a_list_that_does_not_have_its_task_disappears_when_it_is_closed(
    site: Site, page: Page
) -> None:
    ann = await type_unsaved_notes(page, site)
    await ann.show("Done")
    await expect(ann.checkbox("Bread")).to_have_count(0)

    await page.keyboard.press("Tab")
    await notes(page).press("Escape")
    await page.get_by_role("dialog").get_by_role("button", name="Discard").click()

    await expect(page.get_by_role("heading", name="Nothing done yet")).to_be_visible()


async def test_an_edit_that_could_not_be_saved_offline_is_still_there_after_a_search_and_online_again(
    site: Site, page: Page
) -> None:
    await type_unsaved_notes(page, site)
    await page.context.set_offline(True)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".editor")).to_contain_text("Not saved. The server cannot be reached")
    await page.get_by_label("Search").fill("bread")
    await expect(page.locator(".banner")).to_contain_text(["You are offline", "cannot be reached"])

    async def go_online() -> None:
        await page.context.set_offline(False)

    await wait_for_list(page, go_online, "q=bread")

    await expect(page.locator(".banner")).to_have_count(0)
    await expect(notes(page)).to_have_value("two litres")


async def test_sign_out_asks_before_it_discards_unsaved_text(site: Site, page: Page) -> None:
    await type_unsaved_notes(page, site)

    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("dialog").get_by_role("button", name="Keep editing").click()
    await expect(notes(page)).to_have_value("two litres")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("dialog").get_by_role("button", name="Discard and sign out").click()

    await expect(page.get_by_label("E-mail")).to_be_visible()


async def test_the_browser_asks_before_a_reload_that_would_lose_unsaved_text_and_before_no_other(
    site: Site, page: Page
) -> None:
    asked = list[str]()

    async def agree(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    page.on("dialog", agree)
    ann = await type_unsaved_notes(page, site)

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


async def test_a_half_typed_date_or_time_is_an_error_and_the_due_date_stays(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    await ann.edit("Milk", Due="2027-03-01")
    await page.locator(".editor").get_by_label("Time of day").fill("10:20")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".editor")).to_have_count(0)
    writes = list[str]()
    page.on("request", lambda request: writes.append(request.method) if request.method != "GET" else None)
    await ann.edit("Milk")
    due = page.locator(".editor").get_by_role("group", name="Due")

    await due.get_by_label("Time of day").press("Backspace")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(due).to_contain_text("The time is not complete.")
    await due.get_by_label("Due").press("Backspace")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(due).to_contain_text("The date is not complete.")
    await expect(due.get_by_label("Due")).to_be_focused()
    assert writes == []

    await due.get_by_label("Due").fill("2027-03-02")
    await due.get_by_label("Time of day").fill("10:30")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".facts")).to_contain_text("10:30")


async def test_escape_asks_before_it_discards_a_half_typed_date(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    await ann.edit("Milk")
    await page.locator(".editor").get_by_label("Due").press("1")

    await page.keyboard.press("Escape")

    await expect(page.get_by_role("dialog")).to_contain_text("Discard your changes?")


async def test_a_refused_save_shows_and_focuses_the_first_wrong_field_on_a_phone(
    site: Site, page: Page
) -> None:
    await page.set_viewport_size({"width": 375, "height": 667})
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    await ann.edit(
        "Milk", Title="", Tags=", ".join(f"a tag of many letters {number}" for number in range(12))
    )
    save = page.get_by_role("button", name="Save", exact=True)
    await save.scroll_into_view_if_needed()
    await expect(page.locator(".editor").get_by_label("Title")).not_to_be_in_viewport()

    await save.click()

    await expect(page.locator(".editor").get_by_label("Title")).to_be_focused()
    await expect(page.get_by_text("The title is empty.")).to_be_in_viewport(ratio=1)


async def test_too_many_tags_are_an_error_of_the_list_and_not_of_each_tag(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    await ann.edit("Milk", Tags=",".join(f"tag{number}" for number in range(26)))

    await page.get_by_role("button", name="Save", exact=True).click()

    await expect(page.locator(".editor .field").filter(has_text="Tags")).to_contain_text(
        "The list of tags must have at most 20 items."
    )


async def test_moving_the_last_loaded_task_down_loads_the_next_page_first(site: Site, page: Page) -> None:
    await Visitor.signed_up(page, site)
    await add_many(page, site)
    await page.reload()
    held = asyncio.Event()

    async def hold(_: Route) -> None:
        held.set()

    await page.route("**/tasks?*cursor=*", hold, times=1)
    await page.get_by_label("Order").select_option("position")
    await expect(page.locator(".task")).to_have_count(50)
    title = (await page.locator(".task .title bdi").all_inner_texts())[-1]
    down = page.get_by_role("button", name=f"Move {title} down")
    await down.focus()
    await held.wait()

    await page.keyboard.press("Enter")

    await expect(page.locator(".announcement")).to_have_text(f"“{title}”, position 51 of 60.")
    await expect(page.locator(".task .title bdi").nth(50)).to_have_text(title)


async def test_the_order_is_remembered_after_a_reload(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Alpha", "Zulu")
    await page.get_by_label("Order").select_option("title")
    await expect(page.locator(".task .title").first).to_contain_text("Alpha")

    await page.reload()

    await expect(page.locator(".task .title").first).to_contain_text("Alpha")
    await expect(page.get_by_label("Order")).to_have_value("title")


async def test_a_browser_without_storage_still_shows_the_chosen_order(site: Site, page: Page) -> None:
    await page.add_init_script(
        "for (const name of ['getItem', 'setItem']) Storage.prototype[name] = () => { throw new Error('no storage'); }"
    )
    ann = await Visitor.signed_up(page, site)
    await ann.add("Alpha", "Zulu")

    await page.get_by_label("Order").select_option("title")

    await expect(page.locator(".task .title").first).to_contain_text("Alpha")


async def test_a_notice_is_closed_when_its_cause_is_over(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    notice = page.locator(".notice")
    await page.get_by_label("New task").fill("x" * 300)
    await page.keyboard.press("Enter")
    await expect(notice).to_contain_text("300 characters")
    await ann.add("Bread")
    await expect(notice).to_be_empty()
    await page.get_by_label("Search").fill("milk")
    await expect(page.locator(".task")).to_have_count(1)
    await page.get_by_label("New task").fill("Hidden one")
    await page.keyboard.press("Enter")
    await expect(notice).to_contain_text("This list does not show it.")

    await page.get_by_label("Search").fill("")

    await expect(ann.checkbox("Hidden one")).to_be_visible()
    await expect(notice).to_be_empty()


async def test_ctrl_z_in_the_empty_field_for_a_new_task_undoes_a_deletion(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk")
    await page.get_by_role("button", name="Delete Milk").click()
    await expect(page.get_by_role("button", name="Undo")).to_be_visible()
    await page.get_by_label("New task").focus()

    await page.keyboard.press("Control+z")

    await expect(ann.checkbox("Milk")).to_be_visible()
    await expect(page.get_by_label("New task")).to_be_focused()


async def test_the_row_of_an_open_form_stays_in_its_place_until_the_form_is_closed(
    site: Site, page: Page
) -> None:
    await page.route(
        "**/tasks/events*", lambda route: route.abort()
    )  # so only reading the list shows a change
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk", "Bread", "Eggs")
    await wait_for_list(page, lambda: page.get_by_label("Order").select_option("-updated"), "sort=-updated")
    await ann.edit("Milk")
    milk = next(task for task in await ask(page, site, "GET", "") if task["title"] == "Milk")
    await ask(
        page, site, "PATCH", f"/{milk['id']}", {"priority": "high"}
    )  # in this order it is the first now
    rows = page.locator(".tasks > li")

    await wait_for_list(page, lambda: page.evaluate("dispatchEvent(new Event('focus'))"), "sort=-updated")

    await expect(rows.last.locator(".editor")).to_be_visible()
    await expect(page.locator(".editor").get_by_label("Title")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(rows.first).to_contain_text("Milk")
    await expect(rows.last).to_contain_text("Bread")


async def test_a_reload_shows_the_same_list_and_the_sign_out_removes_it_from_the_url(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await ask(page, site, "POST", "", {"title": "Milk & bread", "tags": ["at home"], "completed": True})
    await ask(page, site, "POST", "", {"title": "Milk", "tags": ["at home"]})
    await ann.show("All")
    await page.get_by_role("button", name="Show tasks tagged at home").first.click()
    await page.get_by_label("Search").fill("milk & bread")
    await expect(page.locator(".task")).to_have_count(1)
    await expect(page).to_have_url(f"{site.url}/#show=all&q=milk+%26+bread&tag=at+home")

    await page.reload()

    await expect(ann.checkbox("Milk & bread")).to_be_checked()
    await expect(page.locator(".task")).to_have_count(1)
    await expect(page.get_by_label("Search")).to_have_value("milk & bread")
    await expect(page.get_by_role("button", name="All", exact=True)).to_have_attribute("aria-pressed", "true")
    await page.evaluate("location.hash = '#show=done'")
    await expect(page.get_by_role("button", name="Done", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    await expect(page.get_by_label("Search")).to_have_value("")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("E-mail")).to_be_visible()
    await expect(page).to_have_url(f"{site.url}/")


async def test_a_notice_of_a_too_long_title_closes_when_the_title_is_changed(site: Site, page: Page) -> None:
    await Visitor.signed_up(page, site)
    await page.get_by_label("New task").fill("x" * 256)
    await page.keyboard.press("Enter")
    await expect(page.locator(".notice")).to_have_text(re.compile("256 characters"))

    await page.keyboard.press("Backspace")

    await expect(page.locator(".notice")).to_have_text("")


async def test_an_empty_list_of_a_tag_says_so(site: Site, page: Page) -> None:
    await Visitor.signed_up(page, site)

    await page.evaluate("location.hash = '#tag=nosuch'")
    await expect(page.get_by_text("No task here has this tag.")).to_be_visible()
    await page.get_by_label("Search").fill("milk")

    await expect(page.get_by_text("No task with this tag has all of these words.")).to_be_visible()


async def test_the_back_button_shows_the_filter_before_and_to_nobody_else_the_words_of_a_search(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await page.get_by_label("Search").fill("secret")
    await expect(page).to_have_url(f"{site.url}/#q=secret")
    await ann.show("Done")
    await expect(page).to_have_url(f"{site.url}/#show=done&q=secret")
    await ann.show("All")
    await page.get_by_label("Search").fill("")
    await expect(page).to_have_url(f"{site.url}/#show=all")

    await page.go_back()
    await expect(page.get_by_role("button", name="Done", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    await expect(page.get_by_label("Search")).to_have_value("secret")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("E-mail")).to_be_visible()
    await page.go_back()
    await expect(page).to_have_url(f"{site.url}/")
    await page.go_forward()
    await Visitor.signed_up(page, site, "Bob")
    await page.go_forward()

    await expect(page.get_by_role("button", name="Open", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    await expect(page.get_by_label("Search")).to_have_value("")
    await expect(page).to_have_url(f"{site.url}/")


async def test_another_persons_reload_does_not_show_the_words_of_a_search(site: Site, page: Page) -> None:
    await Visitor.signed_up(page, site)
    await page.get_by_label("Search").fill("milk")
    await expect(page).to_have_url(f"{site.url}/#q=milk")
    other = await page.context.new_page()
    await other.goto(site.url)
    await other.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("E-mail")).to_be_visible()

    await Visitor.signed_up(other, site, "Bob")

    await expect(page.get_by_label("Search")).to_have_value("")
    await expect(page).to_have_url(f"{site.url}/")


async def test_after_a_session_has_ended_a_reload_removes_the_words_of_a_search(
    site: Site, page: Page
) -> None:
    await Visitor.signed_up(page, site)
    await page.get_by_label("Search").fill("milk")
    await expect(page).to_have_url(f"{site.url}/#q=milk")
    await page.context.clear_cookies()

    await page.reload()

    await expect(page.get_by_label("E-mail")).to_be_visible()
    await expect(page).to_have_url(f"{site.url}/")


async def test_a_sign_in_of_another_person_that_no_tab_announced_removes_the_words_of_a_search(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await page.get_by_label("Search").fill("milk")
    await expect(page).to_have_url(f"{site.url}/#q=milk")
    bob = {"name": "Bob", "email": f"bob-{ann.email}", "password": PASSWORD}
    await page.evaluate(
        """(body) => fetch("/api/auth/sign-up/email",
            {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body)})""",
        bob,
    )

    await page.evaluate("dispatchEvent(new Event('focus'))")

    await expect(page.get_by_text("Bob", exact=True)).to_be_visible()
    await expect(page.get_by_label("Search")).to_have_value("")
    await expect(page).to_have_url(f"{site.url}/")


async def test_in_another_list_no_announcement_offers_an_undo(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Milk", "Bread")
    said = page.locator(".announcement")
    await page.get_by_role("button", name="Delete Milk").click()
    await expect(said).to_have_text("“Milk” is in the trash. Ctrl+Z undoes it.")
    await page.route("**/tasks?*completed=true*", lambda route: route.abort())
    await ann.show("Done")
    await expect(said).to_have_text("")

    await ann.show("Open")
    answer = asyncio.Event()

    async def answer_later(route: Route) -> None:
        await answer.wait()
        await route.continue_()

    await page.route(re.compile(r"/tasks/[0-9a-f-]+$"), answer_later, times=1)
    await page.get_by_role("button", name="Delete Bread").click()
    await ann.show("All")
    answer.set()

    await expect(said).to_have_text("“Bread” is in the trash.")


async def test_on_a_touch_screen_the_announcement_of_a_deletion_names_no_keys(
    site: Site, browser: Browser
) -> None:
    async with await browser.new_context(has_touch=True, is_mobile=True) as context:
        page = await context.new_page()
        ann = await Visitor.signed_up(page, site)
        await ann.add("Milk")

        await page.get_by_role("button", name="Delete Milk").tap()

        await expect(page.locator(".announcement")).to_have_text(
            "“Milk” is in the trash. Undo is in its place."
        )
