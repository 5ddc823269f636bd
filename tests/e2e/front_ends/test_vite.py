"""A Vite app made of nothing but the generator's files and the blocks of docs/front-ends.md, in a real Chromium."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.e2e.front_ends import apps
from tests.e2e.front_ends.conftest import NewPerson
from tests.e2e.front_ends.site import Site

pytestmark = pytest.mark.server

PASSWORD = "correct horse battery"


@dataclass
class Visitor:
    """A person at the app, which is one page."""

    page: Page
    site: Site
    email: str

    @classmethod
    async def signed_up(cls, site: Site, device: BrowserContext, name: str = "ann") -> "Visitor":
        visitor = cls(await device.new_page(), site, f"{name}-{uuid4().hex[:8]}@example.com")
        await visitor.page.clock.install()
        await visitor.page.goto(site.url)
        await visitor.sign_up(name)
        return visitor

    async def sign_up(self, name: str) -> None:
        await self.press("Make an account")
        await self.page.get_by_label("Name").fill(name)
        await self.sign_in("Sign up")

    async def sign_in(self, button: str = "Sign in") -> None:
        await self.page.get_by_label("E-mail").fill(self.email)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.press(button)
        await expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    @property
    def field(self) -> Any:
        return self.page.get_by_label("New task")

    def task(self, title: str) -> Any:
        return self.page.get_by_role("listitem").filter(has_text=title)

    async def press(self, button: str) -> None:
        await self.page.get_by_role("button", name=button, exact=True).click()

    async def add(self, title: str) -> None:
        await self.field.fill(title)
        await self.press("Add")
        await expect(self.task(title)).to_be_visible()

    @property
    def titles(self) -> list[str]:
        """What is in this person's list, as the database has it."""
        return self.site.titles_of(self.email)


async def test_a_person_writes_a_task_down_signs_out_and_finds_it_again(
    vite: Site, new_person: NewPerson
) -> None:
    ann = await Visitor.signed_up(vite, await new_person())
    await ann.add("Water the plants")

    await ann.press("Sign out")
    await expect(ann.task("Water the plants")).to_have_count(0)
    await ann.sign_in()

    await expect(ann.task("Water the plants")).to_be_visible()
    assert ann.titles == ["Water the plants"]


async def test_words_are_kept_once_their_person_has_signed_in_again_where_they_stand(
    vite: Site, new_person: NewPerson
) -> None:
    ann = await Visitor.signed_up(vite, await new_person())
    await ann.add("Water the plants")
    await ann.field.fill("A long story")
    vite.end_sessions(ann.email)
    await ann.page.clock.fast_forward("16:00")

    await ann.press("Add")
    await expect(ann.page.get_by_label("E-mail")).to_be_visible()
    await expect(ann.field).to_have_value("A long story")
    await ann.sign_in()

    await expect(ann.task("A long story")).to_be_visible()
    assert ann.titles == ["Water the plants", "A long story"]


async def test_words_of_a_session_that_ended_are_not_kept_for_who_signs_in_instead(
    vite: Site, new_person: NewPerson
) -> None:
    ann = await Visitor.signed_up(vite, await new_person())
    await ann.field.fill("Ann's secret")
    vite.end_sessions(ann.email)
    await ann.page.clock.fast_forward("16:00")
    await ann.press("Add")

    bob = Visitor(ann.page, vite, f"bob-{uuid4().hex[:8]}@example.com")
    await bob.sign_up("bob")
    await expect(bob.field).to_have_value("")
    await bob.add("Bob's plants")

    assert (ann.titles, bob.titles) == ([], ["Bob's plants"])


async def test_a_second_tab_where_another_person_signs_in_takes_the_first_one_along(
    vite: Site, new_person: NewPerson
) -> None:
    device = await new_person()
    ann = await Visitor.signed_up(vite, device)
    await ann.add("Ann's dentist")
    await ann.field.fill("Ann's secret")
    bob = Visitor(await device.new_page(), vite, f"bob-{uuid4().hex[:8]}@example.com")
    await bob.page.goto(vite.url)

    await bob.press("Sign out")
    await bob.sign_up("bob")
    await bob.add("Bob's plants")
    await expect(ann.field).to_have_value("")
    await ann.add("Bob's garden")

    assert (ann.titles, bob.titles) == (["Ann's dentist"], ["Bob's plants", "Bob's garden"])


async def test_pages_with_the_packed_client_ask_an_api_of_another_origin(
    vite: Site, new_person: NewPerson
) -> None:
    # A header that the test adds would need a preflight request, like one of the page itself.
    device = await new_person(extra_http_headers={})
    asked = list[str]()
    device.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    ann = await Visitor.signed_up(replace(vite, url=vite.direct_url), device)

    await ann.add("Water the plants")

    api = f"http://127.0.0.1:{vite.api_port}/api/me/tasks"
    assert f"POST {api}" in asked
    assert ann.titles == ["Water the plants"]


async def test_the_packed_client_s_part_for_servers_is_bundled_for_servers_and_refused_for_pages(
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
