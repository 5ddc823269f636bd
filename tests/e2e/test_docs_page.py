"""The documentation page in a real browser, and its files without one."""

from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, Request, Route, expect

from tests.e2e.test_accessibility import AXE
from tests.support.factories import someone
from tests.support.servers.service import Service

pytestmark = pytest.mark.server

UNREADABLE = """async () => (await axe.run("#operations-Tasks-createTask", { runOnly: "color-contrast" }))
    .violations.flatMap(({ nodes }) => nodes.map(({ html }) => html))"""
"""Returns the elements of an operation whose text has too little contrast (WCAG 2, AA)."""


async def authorize(page: Page, token: str) -> None:
    """Press Authorize, and paste a token."""
    await page.get_by_role("button", name="Authorize").click()
    await page.locator(".auth-container input").fill(token)
    await page.locator(".auth-btn-wrapper button.authorize").click()
    await page.locator(".auth-btn-wrapper .btn-done").click()


async def try_it_out(page: Page, operation_id: str) -> Locator:
    """Open an operation, press Try it out, and return the operation's element."""
    operation = page.locator(f"#operations-Tasks-{operation_id}")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    return operation


def response_status(operation: Locator) -> Locator:
    """Return the element that shows the status of the response to an operation."""
    return operation.locator(".live-responses-table td.response-col_status:not(.col_header)").first


async def test_authorize_and_try_it_out_create_a_task_without_a_request_to_another_server(
    service: Service, browser: Browser
) -> None:
    ann, outside, complaints = someone("ann"), list[str](), list[str]()

    async def allow_this_machine_only(route: Route, request: Request) -> None:
        if urlsplit(request.url).hostname in ("127.0.0.1", None):
            await route.continue_()
        else:
            outside.append(request.url)
            await route.abort()

    async with await browser.new_context() as context:
        await context.route("**/*", allow_this_machine_only)
        page = await context.new_page()
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))

        await page.goto(service.url)
        await authorize(page, service.token(ann))
        create = await try_it_out(page, "createTask")
        await create.locator("textarea").first.fill('{"title": "made in the browser"}')
        await create.get_by_role("button", name="Execute").click()
        await expect(response_status(create)).to_contain_text("201")

        kept = await page.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        )

    async with httpx.AsyncClient(base_url=service.url, headers=service.headers(ann)) as client:
        listed = (await client.get("/api/me/tasks")).json()
    assert [task["title"] for task in listed] == ["made in the browser"]
    assert outside == []
    assert complaints == []
    assert kept == '[{},{},""]'


NEEDS_A_TASK = ("getTask", "updateTask", "patchTask", "completeTask", "moveTask", "deleteTask", "restoreTask")
EXPECTED_STATUSES = {
    "listTasks": "200",
    "summarizeTasks": "200",
    "listChanges": "200",
    "createTask": "201",
    "batchTasks": "200",
    "getTask": "200",
    "updateTask": "200",
    "patchTask": "200",
    "completeTask": "200",
    "moveTask": "200",
    "deleteTask": "204",
    "restoreTask": "200",
}


async def test_try_it_out_works_with_the_examples_that_the_page_fills_in(
    service: Service, browser: Browser
) -> None:
    ann, statuses = someone("ann"), dict[str, str]()
    async with httpx.AsyncClient(base_url=service.url, headers=service.headers(ann)) as client:
        task, other = [
            (await client.post("/api/me/tasks", json={"title": title})).json()["id"] for title in "ab"
        ]

    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"{service.url}/docs")
        await authorize(page, service.token(ann))
        for name in EXPECTED_STATUSES:
            operation = await try_it_out(page, name)
            if name in NEEDS_A_TASK:
                await operation.locator('tr[data-param-name="task_id"] input').fill(task)
            if name == "moveTask":
                await operation.locator("textarea").first.fill(f'{{"before": "{other}"}}')
            await operation.get_by_role("button", name="Execute").click()
            status = response_status(operation)
            await expect(status).to_be_visible()
            statuses[name] = (await status.inner_text()).split()[0]
            await operation.locator(".opblock-summary-control").click()

    assert statuses == EXPECTED_STATUSES


async def test_an_operation_on_one_task_requires_its_id_before_a_request_is_sent(
    service: Service, browser: Browser
) -> None:
    sent: list[str] = []

    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"{service.url}/docs")
        page.on("request", lambda request: sent.append(request.url))
        operation = await try_it_out(page, "getTask")
        await operation.get_by_role("button", name="Execute").click()

        field = operation.locator('tr[data-param-name="task_id"] input')
        await expect(field).to_have_class("invalid")

    assert [url for url in sent if "/api/" in url] == []


async def test_in_the_dark_colour_scheme_each_text_of_an_open_operation_has_enough_contrast(
    service: Service, browser: Browser
) -> None:
    async with await browser.new_context(color_scheme="dark", bypass_csp=True) as context:  # for axe's script
        page = await context.new_page()
        await page.goto(f"{service.url}/docs")
        operation = page.locator("#operations-Tasks-createTask")
        await operation.locator(".opblock-summary-control").click()
        await expect(operation.get_by_text("Idempotency-Replayed", exact=True)).to_be_visible()
        await page.add_script_tag(path=AXE)
        unreadable = await page.evaluate(UNREADABLE)

    assert unreadable == []


def test_the_page_its_files_and_the_document_have_a_strict_content_security_policy_and_are_compressed(
    service: Service,
) -> None:
    for path in ("/docs", "/docs/docs.js", "/docs/swagger-ui-bundle.js", "/openapi.json"):
        compressed = httpx.get(service.url + path, headers={"accept-encoding": "gzip"})
        plain = httpx.get(service.url + path, headers={"accept-encoding": "identity"})
        again = httpx.get(
            service.url + path,
            headers={"accept-encoding": "gzip", "if-none-match": compressed.headers["etag"]},
        )

        policy = compressed.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert (compressed.headers["content-encoding"], compressed.content) == ("gzip", plain.content)
        assert (again.status_code, again.content) == (304, b"")
        assert compressed.headers["etag"] != plain.headers["etag"]
        assert compressed.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("br, gzip;q=0.5, *;q=0", "gzip"),
        ("GZIP", "gzip"),
        ("gzip;q=1.000", "gzip"),
        ("gzip;q=0", None),
        ("gzip ; q=0.000, identity", None),
        ("br", None),
    ],
)
def test_a_file_is_compressed_only_for_a_client_that_accepts_gzip(
    service: Service, accepted: str, coding: str | None
) -> None:
    response = httpx.get(f"{service.url}/docs/docs.js", headers={"accept-encoding": accepted})

    assert response.headers.get("content-encoding") == coding


def test_files_outside_the_documentation_are_not_served(service: Service) -> None:
    for path in ("/docs/LICENSE", "/docs/docs.html%00", "/docs/..%2fdocs.py", "/docs/swagger-ui"):
        assert httpx.get(service.url + path).status_code == 404
