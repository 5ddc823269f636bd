"""The `type` of a problem is the URL of a page that explains the problem."""

import httpx
import pytest

from app.api.problems import PRECONDITION_REQUIRED, PROBLEMS, Problem
from app.composition import compose
from app.settings import Settings, SettingsError
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import People

pytestmark = pytest.mark.server

EVERY = (*PROBLEMS.values(), PRECONDITION_REQUIRED)


async def test_the_url_in_type_opens_without_a_token(people: People, client: httpx.AsyncClient) -> None:
    refused = await people.one().ask("POST", json={})

    page = await client.get(refused.request.url.join(refused.json()["type"]))

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert refused.json()["title"] in page.text


@pytest.mark.parametrize("problem", EVERY, ids=lambda problem: problem.slug)
async def test_each_type_has_a_page_with_its_title_its_status_and_what_to_do(
    client: httpx.AsyncClient, problem: Problem
) -> None:
    page = await client.get(f"/problems/{problem.slug}")

    assert page.status_code == 200
    for part in (
        problem.title,
        f"{problem.status.value} {problem.status.phrase}",
        problem.detail.split("`")[0],
    ):
        assert part.replace("'", "&#x27;") in page.text


async def test_the_list_of_problems_links_to_each_page(client: httpx.AsyncClient) -> None:
    page = await client.get("/problems")

    for problem in EVERY:
        assert f'<a href="/problems/{problem.slug}">' in page.text


async def test_the_list_of_problems_explains_the_412_of_a_task_that_exists(
    people: People, client: httpx.AsyncClient
) -> None:
    ann = people.one()
    task = await ann.create()
    refused = await ann.ask("PATCH", task["id"], json={"title": "x"}, headers={"if-none-match": "*"})

    page = await client.get("/problems")

    assert (refused.status_code, refused.json()["type"]) == (412, "about:blank")
    assert f"<dt>about:blank, 412</dt><dd>{refused.json()['detail'].split('`')[0]}" in page.text


async def test_a_page_runs_no_script_and_its_style_sheet_exists(client: httpx.AsyncClient) -> None:
    page, style = await client.get("/problems"), await client.get("/docs/problems.css")

    assert "<script" not in page.text
    assert 'style="' not in page.text
    assert page.headers["content-security-policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src"
    )
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")


@pytest.mark.parametrize("slug", ["nope", "..%2fdocs", "%00", "task-not-found/x", "TASK-NOT-FOUND"])
async def test_an_unknown_problem_type_gets_404(client: httpx.AsyncClient, slug: str) -> None:
    response = await client.get(f"/problems/{slug}")

    assert (response.status_code, response.json()["type"]) == (404, "about:blank")


@pytest.mark.parametrize("base", ["https://docs.example.com/errors", "https://docs.example.com/errors/"])
async def test_with_problem_base_url_types_are_urls_below_it(database_url: str, base: str) -> None:
    app = compose(Settings.from_env(environment_for(database_url, PROBLEM_BASE_URL=base)))

    async with client_of(app) as client:
        refused = await client.get("/api/me/tasks")

    assert refused.json()["type"] == "https://docs.example.com/errors/not-authenticated"


@pytest.mark.parametrize("base", ["docs.example.com", "ftp://example.com", "https://example.com/#x"])
def test_a_problem_base_url_that_is_no_url_stops_the_start(base: str) -> None:
    env = environment_for("postgresql://ann@localhost/x", PROBLEM_BASE_URL=base)

    with pytest.raises(SettingsError, match="PROBLEM_BASE_URL"):
        Settings.from_env(env)
