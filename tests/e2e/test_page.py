"""The page in a real Chromium, in front of the real servers."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, Route, expect

from dev.postgres import PostgresServer
from tests.support.page_states import TOKEN_LIFETIME, UNTIL_RENEWAL
from tests.support.servers.site import PASSWORD, Site, Visitor, ask, site_of

pytestmark = pytest.mark.server

STORED_BY_PAGE = """async () => JSON.stringify([
  {...localStorage}, {...sessionStorage}, document.cookie, location.href, history.state,
  (await indexedDB.databases()).map(({name}) => name), await caches.keys()
])"""
COUNT_SHIFTS = """() => { window.shifts = 0; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
}).observe({type: "layout-shift", buffered: true}); }"""


def record_urls(page: Page) -> list[str]:
    """Return a list to which the URL of each later request of the page is added."""
    urls = list[str]()
    page.on("request", lambda request: urls.append(request.url))
    return urls


def record_errors(page: Page) -> list[str]:
    """Return a list to which each later error of the page or its console is added."""
    errors = list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    return errors


async def assert_no_token_is_stored(page: Page, urls: list[str]) -> None:
    """Fail if the page has stored a token, or has sent one in a URL."""
    stored = await page.evaluate(STORED_BY_PAGE)
    assert "eyJ" not in stored  # as each JWT begins
    assert "session_token" not in stored
    assert not any("eyJ" in url or "token=" in url for url in urls)


async def test_a_person_finds_their_tasks_again_after_sign_out_and_nobody_else_sees_them(
    site: Site, page: Page, browser: Browser
) -> None:
    urls, errors = record_urls(page), record_errors(page)
    ann = await Visitor.signed_up(page, site)
    await assert_no_token_is_stored(page, urls)

    await ann.add("Water the plants", "Call the dentist", "Read a book")
    assert await ann.titles() == ["Read a book", "Call the dentist", "Water the plants"]
    await ann.checkbox("Water the plants").check()
    await ann.edit("Call the dentist", Title="Call the dentist on Tuesday", Tags="health", Priority="high")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("#health")).to_be_visible()
    await page.get_by_role("button", name="Delete Read a book").click()
    await expect(ann.checkbox("Read a book")).to_have_count(0)
    await page.get_by_role("button", name="Undo").click()
    await expect(ann.checkbox("Read a book")).to_have_count(1)

    await page.reload()
    await expect(ann.checkbox("Read a book")).to_be_visible()
    assert await ann.titles() == ["Read a book", "Call the dentist on Tuesday"]
    await ann.show("Done")
    await expect(ann.checkbox("Water the plants")).to_be_checked()
    await assert_no_token_is_stored(page, urls)

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("E-mail")).to_be_visible()
    await ann.sign_in()
    await expect(ann.checkbox("Read a book")).to_be_visible()

    async with await browser.new_context() as another:
        bob = await Visitor.signed_up(await another.new_page(), site, "Bob")
        await bob.show("All")
        await expect(bob.page.get_by_role("heading", name="No tasks yet")).to_be_visible()
    # The page requests a token before anybody is signed in, and the console shows the 401.
    assert [error for error in errors if "401" not in error] == []


async def test_the_page_may_connect_to_its_two_servers_only_and_its_script_is_compressed_and_immutable(
    site: Site,
) -> None:
    async with httpx.AsyncClient(base_url=site.url) as client:
        html = await client.get("/")
        script = await client.get(html.text.split('src="')[1].split('"')[0])
        length = len(script.content)
        responses = {
            coding: await client.get(script.url, headers={"accept-encoding": coding})
            for coding in ("br", "gzip", "identity")
        }

    policy = html.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert f"connect-src 'self' {site.api_url};" in policy
    assert "frame-ancestors 'none'" in policy
    assert html.headers["cache-control"] == "no-cache"
    assert "immutable" in script.headers["cache-control"]
    for coding in ("br", "gzip"):
        assert responses[coding].headers["content-encoding"] == coding
        assert "accept-encoding" in responses[coding].headers["vary"].lower()
        assert int(responses[coding].headers["content-length"]) < length / 2
    assert "content-encoding" not in responses["identity"].headers


async def test_a_person_can_use_search_the_trash_and_the_manual_order(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Water the plants", "Water the fern", "Buy milk")

    await page.get_by_label("Search").fill("wat fer")
    await expect(ann.checkbox("Buy milk")).to_have_count(0)
    await page.get_by_label("Search").fill("water fer")
    await expect(page.locator(".task")).to_have_count(1)
    await page.get_by_label("Search").fill("")
    await expect(page.locator(".task")).to_have_count(3)

    await page.get_by_label("Order").select_option("position")
    async with page.expect_response("**/move"):  # a reload could otherwise come before the move is stored
        await page.get_by_role("button", name="Move Water the plants up").click()
    await expect(page.locator(".task .title").nth(1)).to_contain_text("Water the plants")
    await page.reload()
    await page.get_by_label("Order").select_option("position")
    await expect(page.locator(".task .title").nth(1)).to_contain_text("Water the plants")

    await page.get_by_role("button", name="Delete Buy milk").click()
    await ann.show("Trash")
    await page.get_by_role("button", name="Restore Buy milk").click()
    await expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    await ann.show("Open")
    await expect(ann.checkbox("Buy milk")).to_be_visible()


FOCUS_NEW_TASK_WHEN_SAVED = """
    new MutationObserver((_, watching) => {
        if (document.querySelector(".editor") || !document.querySelector(".task")) return;
        watching.disconnect();
        document.querySelector("[aria-label='New task']").focus();
    }).observe(document.body, { childList: true, subtree: true })
"""


@pytest.mark.parametrize("person", ["types elsewhere", "waits"])
async def test_after_saving_the_task_has_the_focus_unless_the_person_already_types_elsewhere(
    site: Site, page: Page, person: str
) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("Water the plants")
    await ann.edit("Water the plants", Notes="The fern too")
    if person == "types elsewhere":
        await page.evaluate(FOCUS_NEW_TASK_WHEN_SAVED)

    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".editor")).to_have_count(0)
    await page.wait_for_timeout(200)  # in this time the page sets the focus, if it does

    elsewhere, title = page.get_by_label("New task"), page.locator(".task .title")
    await expect(elsewhere if person == "types elsewhere" else title).to_be_focused()


async def test_only_the_refused_optimistic_change_is_undone(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await ann.add("refused", "kept", "also refused")
    answer = asyncio.Event()

    async def refuse(route: Route) -> None:
        await answer.wait()
        await route.fulfill(
            status=409,
            json={"title": "No", "detail": "Not just now."},
            headers={"access-control-allow-origin": site.url},
        )

    await page.route("**/complete", refuse, times=1)
    await ann.checkbox("refused").click()
    await page.route(re.compile(r"/tasks/[0-9a-f-]+$"), refuse, times=1)
    await page.get_by_role("button", name="Delete also refused").click()
    await ann.checkbox("kept").check()
    await ann.add("added meanwhile")
    answer.set()

    await expect(page.locator(".notice")).to_contain_text("Not just now.")
    await expect(ann.checkbox("also refused")).to_be_visible()
    await expect(ann.checkbox("refused")).not_to_be_checked()
    await expect(ann.checkbox("kept")).to_be_checked()
    await expect(ann.checkbox("added meanwhile")).to_be_visible()


async def test_a_long_list_does_not_shift_while_the_page_loads_and_shows_more_on_scrolling(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await page.evaluate(
        """async (api) => {
          const {token} = await (await fetch("/api/auth/token")).json();
          await Promise.all(Array.from({length: 120}, (_, n) => fetch(`${api}/api/me/tasks`, {
            method: "POST", body: JSON.stringify({title: `task ${n}`}),
            headers: {"content-type": "application/json", authorization: `Bearer ${token}`}})));
        }""",
        site.api_url,
    )
    await page.add_init_script(f"({COUNT_SHIFTS})()")

    await page.reload()
    await expect(page.locator(".task")).not_to_have_count(0)
    shifts = await page.evaluate("window.shifts")
    for _ in range(8):
        await page.mouse.wheel(0, 4000)
        await page.wait_for_timeout(100)

    await expect(page.locator(".task")).to_have_count(120)
    assert len(set(await ann.titles())) == 120
    assert shifts == 0


async def test_sign_out_in_one_tab_signs_out_the_other_tab(site: Site, page: Page) -> None:
    await Visitor.signed_up(page, site)
    other = await page.context.new_page()
    await other.goto(site.url)
    await expect(other.get_by_label("New task")).to_be_visible()

    await other.get_by_role("button", name="Sign out").click()

    await expect(page.get_by_label("E-mail")).to_be_visible()


async def test_sign_in_in_one_tab_is_noticed_by_a_tab_that_was_opened_signed_out(
    site: Site, page: Page
) -> None:
    other = await page.context.new_page()
    await other.goto(site.url)
    await expect(other.get_by_label("E-mail")).to_be_visible()

    await Visitor.signed_up(page, site)

    await expect(other.get_by_label("New task")).to_be_visible()


async def test_beyond_the_rate_limit_the_sign_in_form_says_how_many_seconds_to_wait(
    site: Site, page: Page
) -> None:
    async def refuse(route: Route) -> None:
        body = {"message": "Too many requests. Please try again later."}
        await route.fulfill(status=429, json=body, headers={"retry-after": "10", "x-retry-after": "10"})

    await page.route("**/sign-in/email", refuse)
    await page.goto(site.url)
    await page.get_by_label("E-mail").fill("ann@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()

    await expect(page.get_by_role("alert")).to_have_text("Too many requests. Try again in 10 seconds.")


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        ("de-DE", "Due 1 Mar 2040, 14:30"),
        ("en-GB", "Due 1 Mar 2040, 14:30"),
        ("en-US", "Due Mar 1, 2040, 02:30 PM"),
    ],
)
async def test_a_date_is_in_american_english_for_an_american_browser_and_in_british_english_for_others(
    site: Site, browser: Browser, locale: str, shown: str
) -> None:
    async with await browser.new_context(locale=locale, timezone_id="Europe/Berlin") as context:
        page = await context.new_page()
        await Visitor.signed_up(page, site)
        await ask(page, site, "POST", "", {"title": "Tidy up", "due": "2040-03-01T14:30:00+01:00"})
        await page.reload()

        await expect(page.locator(".task")).to_contain_text(shown)


async def test_signing_in_again_in_one_tab_closes_the_sign_in_dialog_in_the_other(
    postgres: PostgresServer, page: Page, tmp_path: Path
) -> None:
    async with site_of(postgres, tmp_path, life=TOKEN_LIFETIME) as site:
        with site.api():
            await Visitor.signed_up(page, site)
            other = await page.context.new_page()
            await other.goto(site.url)
            # A list that is loaded after the end of the session opens the dialog at once.
            for tab in (page, other):
                await expect(tab.get_by_role("heading", name="No tasks yet")).to_be_visible()
            await site.end_sessions()
            await page.wait_for_timeout(UNTIL_RENEWAL)
            for tab, title in ((page, "from the first"), (other, "from the second")):
                await tab.bring_to_front()
                await tab.get_by_label("New task").fill(title)
                await tab.keyboard.press("Enter")
                await expect(tab.get_by_role("dialog")).to_be_visible()

            await other.get_by_role("dialog").get_by_label("Password").fill(PASSWORD)
            await other.get_by_role("dialog").get_by_role("button", name="Sign in").click()

            for tab, title in ((page, "from the first"), (other, "from the second")):
                await expect(tab.get_by_role("dialog")).to_have_count(0)
                await expect(tab.get_by_role("checkbox", name=f"Done: {title}")).to_be_enabled()
            await page.reload()
            await expect(page.locator(".task")).to_have_count(2)


async def test_a_sign_out_without_a_response_is_shown_as_failed(site: Site, page: Page) -> None:
    await Visitor.signed_up(page, site)
    await page.route("**/api/auth/sign-out", lambda route: route.abort(), times=1)

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator(".notice")).to_contain_text("You are still signed in")
    await page.get_by_role("button", name="Sign out").click()

    await expect(page.get_by_label("E-mail")).to_be_visible()


async def test_the_sign_up_form_shows_its_errors(site: Site, page: Page) -> None:
    ann = await Visitor.signed_up(page, site)
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("E-mail").fill("ann@example.com")
    await page.get_by_label("Password").fill("not the right one")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("Invalid")
    await page.get_by_role("button", name="Make an account").click()

    for name, email, password, alert in (
        ("", "", "", "called"),
        ("Ann", "ann", "", "e-mail"),
        ("Ann", ann.email, "short", "eight"),
        ("Ann", ann.email, PASSWORD, "already"),
    ):
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("E-mail").fill(email)
        await page.get_by_label("Password").fill(password)
        await page.get_by_role("button", name="Sign up").click()
        await expect(page.get_by_role("alert")).to_contain_text(alert)


async def test_an_invalid_field_has_the_focus_and_the_message(site: Site, page: Page) -> None:
    await page.goto(site.url)
    await page.get_by_role("button", name="Make an account").press("Enter")
    await expect(page.get_by_label("Name")).to_be_focused()

    for label, text in (("Name", "Ann"), ("E-mail", "ann@example.com"), ("Password", "short")):
        await page.get_by_label("Password").press("Enter")
        field = page.get_by_label(label)
        await expect(field).to_be_focused()
        message = await page.get_by_role("alert").inner_text()
        await expect(field).to_have_accessible_description(message)
        assert await page.locator("[aria-invalid=true]").count() == 1
        await field.fill(text)
    await page.get_by_role("button", name="Sign in instead").press("Enter")
    await expect(page.get_by_label("E-mail")).to_be_focused()
    assert await page.locator("[aria-invalid=true]").count() == 0


async def test_after_signing_in_the_focus_is_in_the_field_for_a_new_task_and_after_a_reload_it_is_not(
    site: Site, page: Page
) -> None:
    ann = await Visitor.signed_up(page, site)
    await expect(page.get_by_label("New task")).to_be_focused()
    await page.get_by_role("button", name="Sign out").click()
    await ann.sign_in()
    await expect(page.get_by_label("New task")).to_be_focused()

    await page.reload()
    await expect(page.get_by_label("New task")).to_be_visible()

    await expect(page.get_by_label("New task")).not_to_be_focused()


async def test_tokens_that_last_seconds_are_renewed_unnoticed_and_an_ended_session_loses_no_typed_text(
    postgres: PostgresServer, page: Page, tmp_path: Path
) -> None:
    async with site_of(postgres, tmp_path, life=TOKEN_LIFETIME) as site:
        with site.api():
            urls = record_urls(page)
            ann = await Visitor.signed_up(page, site)
            for number in range(6):
                await ann.add(f"task {number}")
                await page.wait_for_timeout(1200)  # six times, so several tokens of 4 s are needed
            assert sum("/api/auth/token" in url for url in urls) >= 3

            await ann.edit("task 0", Title="a long draft that must not be lost")
            await site.end_sessions()
            await page.wait_for_timeout(UNTIL_RENEWAL)
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("dialog")).to_be_visible()
            await page.get_by_role("dialog").get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("dialog").get_by_role("button", name="Sign in").click()

            await expect(page.get_by_role("dialog")).to_have_count(0)
            await expect(ann.checkbox("a long draft that must not be lost")).to_be_visible()
            await page.reload()
            await expect(ann.checkbox("a long draft that must not be lost")).to_be_visible()
            await assert_no_token_is_stored(page, urls)


async def test_the_page_says_that_the_server_is_unreachable_and_works_again_afterwards(
    postgres: PostgresServer, page: Page, tmp_path: Path
) -> None:
    async with site_of(postgres, tmp_path) as site:
        with site.api():
            ann = await Visitor.signed_up(page, site)
            await ann.add("Water the plants")

        await ann.checkbox("Water the plants").click()
        await expect(page.locator(".notice")).to_contain_text("The server cannot be reached", timeout=8000)
        await expect(ann.checkbox("Water the plants")).not_to_be_checked()
        await page.get_by_label("New task").fill("Written while it was away")
        await page.keyboard.press("Enter")
        await expect(page.locator(".notice")).to_contain_text("was not added", timeout=8000)
        await expect(page.get_by_label("New task")).to_have_value("Written while it was away")

        with site.api():
            await page.keyboard.press("Enter")
            await expect(ann.checkbox("Written while it was away")).to_be_enabled()
            async with page.expect_response(lambda answer: answer.url.endswith("/complete")):
                await ann.checkbox("Water the plants").check()  # shown as done before the server has answered
            await page.reload()
            assert await titles_when_loaded(ann) == ["Written while it was away"]
            await ann.show("Done")
            await expect(ann.checkbox("Water the plants")).to_be_checked()


async def titles_when_loaded(person: Visitor) -> list[Any]:
    await expect(person.page.locator(".task")).not_to_have_count(0)
    return list(await person.titles())


async def test_given_email_verification_then_the_page_explains_it_and_the_mailed_link_signs_in(
    postgres: PostgresServer, page: Page, tmp_path: Path
) -> None:
    settings = {"REQUIRE_EMAIL_VERIFICATION": "1"}
    urls = record_urls(page)
    async with site_of(postgres, tmp_path, settings=settings) as site:
        await page.goto(site.url)
        await page.get_by_role("button", name="Make an account").click()
        await expect(page.get_by_text("Make an account: a minute, and one mail.")).to_be_visible()
        await page.get_by_label("Name").fill("Ann")
        await page.get_by_label("E-mail").fill("ann@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign up").click()

        await expect(page.get_by_role("status")).to_have_text(
            "Look into your mail: open the link that was sent to ann@example.com, and you are signed in."
        )
        await expect(page.get_by_role("status")).to_be_focused()
        await page.get_by_role("button", name="Sign in instead").click()
        await page.get_by_label("E-mail").fill("ann@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("status")).to_contain_text("sent to ann@example.com")
        assert f"{site.url}/api/auth/token" not in urls

        await page.goto(await site.auth.mailed_link("ann@example.com"))
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
