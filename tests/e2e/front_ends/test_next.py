"""A Next.js app made of the generator's files and the blocks of docs/front-ends.md, in a real Chromium.

The page `/team` belongs to a team that already has its own client of Better Auth and other ways to sign in.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Route, expect

from dev.postgres import free_port
from tests.e2e.front_ends import apps, next_site
from tests.e2e.front_ends.conftest import NewBrowser
from tests.e2e.front_ends.next_site import NextApp
from tests.e2e.front_ends.site import Site
from tests.e2e.front_ends.team_page import open_team_page
from tests.e2e.front_ends.visitor import PASSWORD, Visitor, new_email
from tests.support import certificates
from tests.support.servers.oauth_provider import OAuthProvider
from tests.support.servers.reverse_proxies import program
from tests.support.servers.tcp import listening

pytestmark = pytest.mark.server

RETURN_TO_TAB = "window.dispatchEvent(new Event('focus'))"  # the event of a person who comes back to the tab
CADDYFILE = """{{
	admin off
	auto_https disable_redirects
}}
https://localhost:{port} {{
	tls {folder}/server.crt {folder}/server.key
	reverse_proxy 127.0.0.1:{app_port}
}}
"""


async def test_a_person_adds_a_task_signs_out_and_finds_it_again_rendered_by_the_server(
    site: Site, new_browser: NewBrowser
) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    await ann.add("Water the plants")

    await ann.press("Sign out")
    await ann.page.wait_for_url("**/sign-in")
    await ann.page.goto(site.url)  # the root leads to the tasks, and from there to the form
    await ann.page.wait_for_url("**/sign-in")
    await ann.sign_in()

    await expect(ann.task("Water the plants")).to_be_visible()
    rendered = await ann.page.request.get(f"{site.url}/tasks")
    assert "Water the plants" in await rendered.text()


async def test_saving_a_task_that_another_device_changed_shows_the_conflict_and_saving_again_overwrites_it(
    site: Site, new_browser: NewBrowser
) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    await ann.add("Call the dentist")
    await ann.press("Edit Call the dentist")
    other = Visitor(await (await new_browser()).new_page(), site, ann.email)
    await other.page.goto(f"{site.url}/sign-in")
    await other.sign_in()
    await other.press("Edit Call the dentist")
    await other.page.get_by_label("Title").fill("Call the doctor")
    await other.press("Save")
    await expect(other.task("Call the doctor")).to_be_visible()

    await ann.page.get_by_label("Title").fill("Call the vet")
    await ann.press("Save")
    await ann.sees_alert("Meanwhile this task became “Call the doctor”")
    assert ann.titles == ["Call the doctor"]
    await ann.press("Save")
    await expect(ann.task("Call the vet")).to_be_visible()

    assert ann.titles == ["Call the vet"]


async def test_a_tab_shows_no_tasks_after_its_person_signed_out_in_another_tab(
    site: Site, new_browser: NewBrowser
) -> None:
    device = await new_browser()
    ann = await Visitor.with_account(site, device)
    await ann.add("Ann's dentist")
    await ann.new_task.fill("Ann's secret")
    second = Visitor(await device.new_page(), site, ann.email)
    await second.page.goto(f"{site.url}/tasks")

    await second.press("Sign out")
    await ann.page.wait_for_url("**/sign-in")
    await second.page.wait_for_url("**/sign-in")
    bob = await Visitor.with_account(site, device, "bob")
    await bob.add("Bob's plants")
    await ann.page.goto(f"{site.url}/tasks")
    await expect(ann.task("Bob's plants")).to_be_visible()

    assert (ann.titles, bob.titles) == (["Ann's dentist"], ["Bob's plants"])


async def test_text_in_a_tab_is_not_saved_for_another_person_who_signed_in_unnoticed(
    site: Site, new_browser: NewBrowser
) -> None:
    device = await new_browser()
    ann = await Visitor.with_account(site, device)
    await ann.new_task.fill("Ann's secret")
    same_origin = {"origin": site.url}
    signed_out = await device.request.post(f"{site.url}/api/auth/sign-out", headers=same_origin, data={})
    bob = Visitor(ann.page, site, new_email("bob"))
    person = {"name": "Bob", "email": bob.email, "password": PASSWORD}
    sign_up = await device.request.post(
        f"{site.url}/api/auth/sign-up/email", headers=same_origin, data=person
    )
    assert signed_out.ok
    assert sign_up.ok

    await ann.page.evaluate(RETURN_TO_TAB)
    await ann.press("Add")
    await expect(ann.new_task).to_have_value("")  # the page is loaded anew, for Bob
    await bob.add("Bob's plants")

    assert (ann.titles, bob.titles) == ([], ["Bob's plants"])


async def test_an_old_token_is_renewed_before_it_is_used(site: Site, new_browser: NewBrowser) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    await ann.add("Water the plants")
    requests = list[str]()
    ann.page.on("request", lambda request: requests.append(request.url.removeprefix(site.url)))

    await ann.add("Buy milk")
    assert "/api/auth/token" not in requests
    await ann.let_token_expire()
    await ann.add("Call the dentist")

    assert requests.count("/api/auth/token") == 1
    assert ann.titles == ["Water the plants", "Buy milk", "Call the dentist"]


async def test_a_refused_token_is_renewed_and_the_task_is_saved_once(
    site: Site, new_browser: NewBrowser
) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    statuses = list[int]()
    ann.page.on(
        "response", lambda answer: statuses.append(answer.status) if "/api/me/" in answer.url else None
    )

    async def spoil_token(route: Route) -> None:
        token = route.request.headers["authorization"]
        await route.continue_(headers={**route.request.headers, "authorization": f"{token[:-8]}AAAAAAAA"})

    await ann.page.route("**/api/me/tasks", spoil_token, times=1)
    await ann.add("Water the plants")

    assert statuses == [401, 201]
    assert ann.titles == ["Water the plants"]


async def test_typed_text_stays_when_the_session_ends_meanwhile(site: Site, new_browser: NewBrowser) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    await ann.new_task.fill("A long story")
    site.end_sessions(ann.email)
    await ann.let_token_expire()

    await ann.press("Add")
    await ann.sees_alert("Your session is over. What you typed stays here")
    async with ann.page.context.expect_page() as opened:
        await ann.page.get_by_role("link", name="Sign in in a new tab").click()
    await replace(ann, page=await opened.value).sign_in()
    await ann.page.bring_to_front()
    await expect(ann.new_task).to_have_value("A long story")
    await ann.press("Add")

    await expect(ann.task("A long story")).to_be_visible()
    assert ann.titles == ["A long story"]


async def test_text_typed_before_the_session_ended_is_not_saved_for_the_next_person(
    site: Site, new_browser: NewBrowser
) -> None:
    device = await new_browser()
    ann = await Visitor.with_account(site, device)
    await ann.new_task.fill("Ann's secret")
    site.end_sessions(ann.email)
    await ann.let_token_expire()
    await ann.press("Add")
    await ann.sees_alert("Your session is over")

    bob = await Visitor.with_account(site, device, "bob")
    await expect(ann.new_task).to_have_value("")  # the page is loaded anew, for Bob
    await ann.add("Bob's plants")

    assert (ann.titles, bob.titles) == ([], ["Bob's plants"])


async def test_a_server_action_returns_errors_that_a_person_can_correct_as_data(
    site: Site, new_browser: NewBrowser
) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    await ann.page.goto(f"{site.url}/tasks/new")
    title = ann.page.get_by_label("Title")

    await title.fill("x" * 256)
    await ann.press("Add")
    await ann.sees_alert("title: ")
    await expect(title).to_have_value("x" * 256)
    await title.fill("Water the plants")
    await ann.press("Add")

    await ann.page.wait_for_url("**/tasks")
    await expect(ann.task("Water the plants")).to_be_visible()
    assert ann.titles == ["Water the plants"]


async def test_a_server_action_after_the_session_ended_redirects_to_the_sign_in_form(
    site: Site, new_browser: NewBrowser
) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    await ann.page.goto(f"{site.url}/tasks/new")
    site.end_sessions(ann.email)

    await ann.page.get_by_label("Title").fill("Water the plants")
    await ann.press("Add")

    await ann.page.wait_for_url("**/sign-in")
    assert ann.titles == []


async def test_a_route_handler_returns_the_problem_of_the_api(site: Site, new_browser: NewBrowser) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    await ann.add("Water the plants")

    async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
        refused = await client.get("/tasks/export")
    exported = await ann.page.request.get(f"{site.url}/tasks/export")

    assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
    assert refused.json()["status"] == 401
    assert [task["title"] for task in await exported.json()] == ["Water the plants"]


async def test_a_hundred_anonymous_visits_are_redirected_to_the_sign_in_form_and_a_person_can_still_add_a_task(
    site: Site, new_browser: NewBrowser
) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    dead = {"cookie": "better-auth.session_token=dead.dead"}

    async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
        visits = (client.get("/tasks", headers=dead if number % 2 else {}) for number in range(100))
        pages = await asyncio.gather(*visits)
    await ann.page.reload()
    await ann.add("Water the plants")

    assert all("/sign-in" in page.headers.get("location", page.text) for page in pages)
    assert ann.titles == ["Water the plants"]


async def test_a_build_without_the_url_of_the_api_fails(next_app: NextApp) -> None:
    with pytest.raises(AssertionError, match="Set TASKS_URL"):
        await apps.run("npm run build", next_app.folder, {"TASKS_URL": ""})


async def test_pages_can_use_an_api_of_another_origin_with_their_own_better_auth(
    site: Site, new_browser: NewBrowser
) -> None:
    # No `x-forwarded-for`: the API allows no such header in a CORS preflight request.
    device = await new_browser(extra_http_headers={})
    ann = await Visitor.with_account(site, device)
    requests = list[str]()
    device.on("request", lambda request: requests.append(f"{request.method} {request.url}"))

    await ann.page.goto(f"{site.url}/direct")
    await ann.add("Water the plants")

    api = f"http://127.0.0.1:{site.api_port}/api/me/tasks"
    assert {f"POST {api}", f"GET {api}"} <= set(requests)
    assert ann.titles == ["Water the plants"]


async def test_the_client_for_an_api_of_another_origin_cannot_be_imported_without_that_origin(
    next_app: NextApp,
) -> None:
    with pytest.raises(AssertionError, match="Set NEXT_PUBLIC_TASKS_URL for the build"):
        await apps.run("""node --import tsx --eval 'import("./lib/tasks-direct.ts")'""", next_app.folder)


async def test_given_an_unreachable_or_silent_api_then_every_call_ends_and_typed_text_is_saved_later(
    site: Site, new_browser: NewBrowser
) -> None:
    ann = await Visitor.with_account(site, await new_browser())
    await ann.add("Water the plants")
    await ann.new_task.fill("A long story")
    site.stop_api()

    await ann.press("Add")
    await ann.sees_alert("try again")
    away = await ann.page.request.get(f"{site.url}/tasks/export")
    async with silent(site.api_port):
        exporting = asyncio.create_task(ann.page.request.get(f"{site.url}/tasks/export", timeout=60_000))
        async with ann.page.expect_request("**/api/me/tasks"):
            await ann.press("Add")
        await ann.page.clock.fast_forward("00:31")
        await ann.sees_alert("The server does not answer")
        timed_out = await exporting
    site.start_api()
    await ann.press("Add")
    await expect(ann.task("A long story")).to_be_visible()

    assert (away.status, timed_out.status) == (502, 504)
    assert ann.titles == ["Water the plants", "A long story"]


@asynccontextmanager
async def silent(port: int) -> AsyncIterator[None]:
    """Run a server that reads all requests and never responds."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65_536):
                pass
        finally:
            writer.close()

    async with listening(swallow, port=port):
        yield


async def test_the_next_person_who_signs_up_gets_their_task_in_their_own_list(
    site: Site, new_browser: NewBrowser
) -> None:
    team = await open_team_page(site, await new_browser(), "?clears")
    ann = await team.sign_up("ann")
    await team.add("Ann's dentist")

    await team.sign_out()
    bob = await team.sign_up("bob")
    await team.add("Bob's plants")

    assert (site.titles_of(ann), site.titles_of(bob)) == (["Ann's dentist"], ["Bob's plants"])


async def test_text_typed_by_a_person_who_signed_out_is_saved_for_nobody(
    site: Site, new_browser: NewBrowser
) -> None:
    team = await open_team_page(site, await new_browser())
    ann = await team.sign_up("ann")
    await team.add("Ann's dentist")
    await team.type("Ann's secret")
    await team.mark_page()

    await team.sign_out()
    bob = await team.sign_up("bob")
    await team.press("Add")
    await team.wait_for_answer("Ann's secret")

    assert (site.titles_of(ann), site.titles_of(bob)) == (["Ann's dentist"], [])
    await team.wait_for_reload()


async def test_text_typed_by_ann_is_not_saved_for_bob_who_signed_in_in_another_tab(
    site: Site, new_browser: NewBrowser
) -> None:
    device = await new_browser()
    first, second = await open_team_page(site, device), await open_team_page(site, device)
    ann = await first.sign_up("ann")
    await first.add("Ann's dentist")
    await first.type("Ann's secret")
    await first.mark_page()

    await second.page.reload()
    await second.sees_who_is_signed_in(ann)
    await second.sign_out()
    bob = await second.sign_up("bob")
    await second.add("Bob's plants")
    await first.press("Add")
    await first.wait_for_answer("Ann's secret")

    assert (site.titles_of(ann), site.titles_of(bob)) == (["Ann's dentist"], ["Bob's plants"])
    await first.wait_for_reload()


async def test_on_a_server_the_client_for_pages_rejects_and_does_not_wait_for_a_sign_in(
    site: Site,
) -> None:
    async with httpx.AsyncClient(base_url=site.url, timeout=60) as client:
        pages = await asyncio.gather(*(client.get("/team/rendered") for _ in range(100)))

    assert all("Refused: <!-- -->signed-out" in page.text for page in pages)


async def test_a_person_who_signs_in_by_oauth_can_use_tasks(
    site: Site, new_browser: NewBrowser, company: OAuthProvider
) -> None:
    team = await open_team_page(site, await new_browser())

    await team.press("Sign in with Company")
    await team.page.wait_for_url(f"{site.url}/team")
    await team.sees_who_is_signed_in(company.email)
    await team.add("Ann's report")

    assert site.titles_of(company.email) == ["Ann's report"]


async def test_a_person_who_signs_in_by_passkey_finds_their_tasks(
    site: Site, new_browser: NewBrowser
) -> None:
    team = await open_team_page(site, await new_browser())
    devtools = await team.page.context.new_cdp_session(team.page)
    await devtools.send("WebAuthn.enable")
    authenticator = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
    }
    await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": authenticator})
    ann = await team.sign_up("ann")
    await team.add("Ann's dentist")
    async with team.page.expect_response("**/passkey/verify-registration") as registered:
        await team.press("Add a passkey")
    assert (await registered.value).ok
    await team.sign_out()

    await team.press("Sign in with a passkey")
    await team.sees_who_is_signed_in(ann)
    await team.add("Ann's plants")

    assert site.titles_of(ann) == ["Ann's dentist", "Ann's plants"]


async def test_behind_tls_the_session_cookie_is_secure_and_the_api_accepts_the_keys(
    next_app: NextApp, site: Site, new_browser: NewBrowser, tmp_path: Path
) -> None:
    port, app_port, root = free_port(), free_port(), certificates.make(tmp_path, "localhost")
    (tmp_path / "Caddyfile").write_text(CADDYFILE.format(port=port, folder=tmp_path, app_port=app_port))
    url = f"https://localhost:{port}"
    app = replace(
        next_app,
        port=app_port,
        app_env={**next_app.app_env, "BETTER_AUTH_URL": url},
        api_env={**next_app.api_env, "BETTER_AUTH_URL": url, "SSL_CERT_FILE": str(root)},
    )
    site.stop_api()
    command = f"{program('caddy')} run --config Caddyfile"
    try:
        async with (
            apps.started(command, tmp_path, url, {"HOME": str(tmp_path)}, trust=root),
            next_site.running(app, tmp_path, url=url) as secure,
        ):
            device = await new_browser(ignore_https_errors=True)
            ann = await Visitor.with_account(secure, device)
            await ann.add("Water the plants")
            await ann.page.reload()
            await expect(ann.task("Water the plants")).to_be_visible()

            (cookie,) = await device.cookies()
    finally:
        site.start_api()

    assert cookie["name"] == "__Secure-better-auth.session_token"
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
