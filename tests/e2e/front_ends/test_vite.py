"""A Vite app made of the generator's files and the blocks of docs/front-ends.md, in a real Chromium.

Its page `/tanstack` is the recipe for TanStack Query.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Self

import pytest
from playwright.async_api import Route, expect

from tests.e2e.front_ends import apps
from tests.e2e.front_ends.conftest import NewBrowser
from tests.e2e.front_ends.site import Site
from tests.e2e.front_ends.visitor import PASSWORD, Visitor, new_email

pytestmark = pytest.mark.server


@dataclass
class ViteVisitor(Visitor):
    """A person in one tab of the single-page app."""

    async def open_another_tab(self, path: str = "") -> Self:
        """Open another tab of the same browser."""
        other = type(self)(await self.page.context.new_page(), self.site, self.email)
        await other.page.goto(f"{self.site.url}{path}")
        return other

    async def rename(self, old: str, new: str) -> None:
        await self.press(old)
        await self.page.get_by_label("Title").fill(new)
        await self.press("Save")

    async def shows(self, *titles: str) -> None:
        """Wait until the list of `/tanstack` has these titles, and no error."""
        expected = [f"{title} Louder" for title in titles]  # each has a button "Louder"
        await expect(self.page.get_by_role("listitem")).to_have_text(expected)
        await expect(self.page.get_by_role("alert")).to_have_text("")

    async def mark_page(self) -> None:
        """Set a flag on `window`, which is lost if the page is loaded again."""
        await self.page.evaluate("window.isMarked = true")

    async def page_is_marked(self) -> bool:
        return bool(await self.page.evaluate("window.isMarked ?? false"))


class HeldRequests:
    """Holds requests to the API back: those of a method continue when the test sets `released[method]`."""

    def __init__(self) -> None:
        self.released = {"PATCH": asyncio.Event(), "GET": asyncio.Event()}

    async def hold(self, route: Route) -> None:
        await self.released[route.request.method].wait()
        await route.continue_()


async def test_a_person_adds_a_task_signs_out_and_finds_it_again(vite: Site, new_browser: NewBrowser) -> None:
    ann = await ViteVisitor.with_account(vite, await new_browser())
    await ann.add("Water the plants")

    await ann.press("Sign out")
    await expect(ann.task("Water the plants")).to_have_count(0)
    await ann.sign_in()

    await expect(ann.task("Water the plants")).to_be_visible()
    assert ann.titles == ["Water the plants"]


async def test_typed_text_is_saved_after_the_same_person_signs_in_again_in_place(
    vite: Site, new_browser: NewBrowser
) -> None:
    ann = await ViteVisitor.with_account(vite, await new_browser())
    await ann.add("Water the plants")
    await ann.new_task.fill("A long story")
    vite.end_sessions(ann.email)
    await ann.let_token_expire()

    await ann.press("Add")
    await expect(ann.page.get_by_label("E-mail")).to_be_visible()
    await expect(ann.new_task).to_have_value("A long story")
    await ann.sign_in()

    await expect(ann.task("A long story")).to_be_visible()
    assert ann.titles == ["Water the plants", "A long story"]


async def test_text_typed_before_the_session_ended_is_not_saved_for_the_next_person(
    vite: Site, new_browser: NewBrowser
) -> None:
    ann = await ViteVisitor.with_account(vite, await new_browser())
    await ann.new_task.fill("Ann's secret")
    await ann.mark_page()
    vite.end_sessions(ann.email)
    await ann.let_token_expire()
    await ann.press("Add")

    bob = ViteVisitor(ann.page, vite, new_email("bob"))
    await bob.sign_up("bob")
    await expect(bob.new_task).to_have_value("")
    await bob.add("Bob's plants")

    assert await ann.page_is_marked(), "the page was loaded again; React should only have created a new list"
    assert (ann.titles, bob.titles) == ([], ["Bob's plants"])


async def test_a_tab_notices_another_signed_in_person_at_the_next_call_and_shows_their_list_without_a_reload(
    vite: Site, new_browser: NewBrowser
) -> None:
    device = await new_browser()
    ann = await ViteVisitor.with_account(vite, device)
    await ann.add("Ann's dentist")
    await ann.new_task.fill("Ann's secret")
    await ann.mark_page()
    same_origin = {"origin": vite.url}
    bob = ViteVisitor(ann.page, vite, new_email("bob"))
    person = {"name": "Bob", "email": bob.email, "password": PASSWORD}
    sign_up = await device.request.post(
        f"{vite.url}/api/auth/sign-up/email", headers=same_origin, data=person
    )
    assert sign_up.ok

    await ann.let_token_expire()
    await ann.press("Add")
    await expect(ann.new_task).to_have_value("")
    await expect(ann.task("Ann's dentist")).to_have_count(0)
    await bob.add("Bob's plants")

    assert await ann.page_is_marked()
    assert (ann.titles, bob.titles) == (["Ann's dentist"], ["Bob's plants"])


async def test_saving_a_task_that_another_tab_changed_shows_the_conflict_and_saving_again_overwrites_it(
    vite: Site, new_browser: NewBrowser
) -> None:
    ann = await ViteVisitor.with_account(vite, await new_browser())
    await ann.add("Call the dentist")
    other = await ann.open_another_tab()
    await other.rename("Call the dentist", "Call the doctor")
    await expect(other.task("Call the doctor")).to_be_visible()

    await ann.rename("Call the dentist", "Call the vet")
    await ann.sees_alert("Meanwhile this task became “Call the doctor”")
    await expect(ann.page.get_by_label("Title")).to_have_value("Call the vet")
    assert ann.titles == ["Call the doctor"]
    await ann.press("Save")
    await expect(ann.task("Call the vet")).to_be_visible()

    assert ann.titles == ["Call the vet"]


async def test_tanstack_query_shows_a_change_at_once_and_undoes_it_if_the_task_has_another_version(
    vite: Site, new_browser: NewBrowser
) -> None:
    ann = await ViteVisitor.with_account(vite, await new_browser())
    await ann.add("Call the dentist")
    recipe = await ann.open_another_tab("/tanstack")
    await recipe.shows("Call the dentist")
    await ann.rename("Call the dentist", "Call the doctor")
    await expect(ann.task("Call the doctor")).to_be_visible()
    requests = HeldRequests()
    await recipe.page.route("**/api/me/tasks**", requests.hold)
    await recipe.press("Louder")
    await recipe.shows("Call the dentist!")
    requests.released["PATCH"].set()
    await recipe.sees_alert("This task changed meanwhile")
    await expect(recipe.page.get_by_role("listitem")).to_have_text(["Call the dentist Louder"])
    requests.released["GET"].set()
    await expect(recipe.task("Call the doctor")).to_be_visible()
    assert ann.titles == ["Call the doctor"]
    async with recipe.page.expect_response(lambda answer: answer.request.method == "PATCH") as kept:
        await recipe.press("Louder")
    await recipe.shows("Call the doctor!")
    assert (await kept.value).ok

    assert ann.titles == ["Call the doctor!"]


async def test_tanstack_query_cache_has_no_tasks_of_the_previous_person(
    vite: Site, new_browser: NewBrowser
) -> None:
    device = await new_browser()
    ann = await ViteVisitor.with_account(vite, device)
    await ann.add("Ann's dentist")
    await ann.page.close()
    ann = ViteVisitor(await device.new_page(), vite, ann.email)
    await ann.page.goto(f"{vite.url}/tanstack")
    await ann.shows("Ann's dentist")
    await ann.mark_page()

    await ann.press("Sign out")
    bob = ViteVisitor(ann.page, vite, new_email("bob"))
    await bob.sign_up("bob")
    await bob.shows()
    await bob.press("Sign out")
    requests = HeldRequests()
    await ann.page.route("**/api/me/tasks**", requests.hold)
    async with ann.page.expect_request("**/api/me/tasks**"):
        await ann.sign_in()
    await ann.shows()
    requests.released["GET"].set()
    await ann.shows("Ann's dentist")

    assert await ann.page_is_marked()


async def test_tanstack_query_shows_an_error_at_once_without_a_retry(
    vite: Site, new_browser: NewBrowser
) -> None:
    ann = await ViteVisitor.with_account(vite, await new_browser())
    requests = list[str]()

    page = f"{vite.url}/tanstack"

    async def fail(route: Route) -> None:
        if route.request.headers.get("referer") == page:  # the previous page may still load its list
            requests.append(route.request.method)
        await route.fulfill(status=500)

    await ann.page.route("**/api/me/tasks**", fail)
    await ann.page.goto(page)
    await ann.sees_alert("The server answered something that cannot be understood")

    assert requests == ["GET"]


async def test_when_another_person_signs_in_in_a_second_tab_the_first_tab_changes_to_that_person(
    vite: Site, new_browser: NewBrowser
) -> None:
    device = await new_browser()
    ann = await ViteVisitor.with_account(vite, device)
    await ann.add("Ann's dentist")
    await ann.new_task.fill("Ann's secret")
    bob = ViteVisitor(await device.new_page(), vite, new_email("bob"))
    await bob.page.goto(vite.url)

    await bob.press("Sign out")
    await bob.sign_up("bob")
    await bob.add("Bob's plants")
    await expect(ann.new_task).to_have_value("")
    await ann.add("Bob's garden")

    assert (ann.titles, bob.titles) == (["Ann's dentist"], ["Bob's plants", "Bob's garden"])


async def test_pages_with_the_packed_client_send_requests_to_an_api_of_another_origin(
    vite: Site, new_browser: NewBrowser
) -> None:
    # No `x-forwarded-for`: the API allows no such header in a CORS preflight request.
    device = await new_browser(extra_http_headers={})
    requests = list[str]()
    device.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
    ann = await ViteVisitor.with_account(replace(vite, url=vite.direct_url), device)

    await ann.add("Water the plants")

    api = f"http://127.0.0.1:{vite.api_port}/api/me/tasks"
    assert f"POST {api}" in requests
    assert ann.titles == ["Water the plants"]


async def test_the_server_part_of_the_packed_client_can_be_bundled_for_servers_but_not_for_pages(
    vite: Site,
) -> None:
    app = vite.folder / "my-app"
    (app / "src" / "server.ts").write_text(
        'import { apiFor } from "taskward-client/server";\n'
        f'const options = {{ auth: "{vite.url}/api/auth", baseUrl: "{vite.url}" }};\n'
        "apiFor(new Headers(), options).list().catch(({ type }) => console.log(type));\n"
    )
    entry = 'lib: { entry: "src/server.ts", formats: ["es"], fileName: "server" }'
    bundled = 'ssr: { noExternal: true }, build: { ssr: "src/server.ts", outDir: "server" }'
    (app / "page.config.mjs").write_text(f'export default {{ build: {{ outDir: "page", {entry} }} }};')
    (app / "server.config.mjs").write_text(f"export default {{ {bundled} }};")

    await apps.run("npx vite build --config server.config.mjs", app)
    printed = await apps.run("node server/server.js", app)
    with pytest.raises(AssertionError, match='failed to resolve import "taskward-client/server"'):
        await apps.run("npx vite build --config page.config.mjs", app)

    assert 'from "taskward-client' not in (app / "server" / "server.js").read_text()
    assert printed == "signed-out\n"
