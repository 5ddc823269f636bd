"""`/problems/{slug}`: the page that a problem's `type` links to. It needs no script and no token."""

from collections.abc import Mapping, Sequence
from html import escape
from http import HTTPStatus
from itertools import groupby
from typing import Final

from litestar import Response
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from app.api.middleware.response_headers import PROBLEMS_PATH
from app.api.problems import DETAILS, PRECONDITION_REQUIRED, PROBLEMS, TASK_EXISTS, Problem, problem_of_status
from app.api.responses import get_public

HTML: Final = "text/html"  # Litestar adds the character set
HEADERS: Final = {"cache-control": "no-cache", "referrer-policy": "no-referrer"}
WITHOUT_SLUG: Final = sorted(
    (TASK_EXISTS, *(problem_of_status(status) for status in DETAILS if isinstance(status, HTTPStatus))),
    key=lambda problem: problem.status,
)
"""Problems without a slug: their type is `about:blank`."""


def _page(title: str, body: str) -> bytes:
    return f"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{escape(title)} - Taskward API</title>
    <link rel="icon" href="/docs/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/docs/problems.css">
  </head>
  <body>
    <main>
      <h1>{escape(title)}</h1>
{body}
      <p><a href="{PROBLEMS_PATH}">All problems</a> · <a href="/docs">Documentation of the API</a></p>
    </main>
  </body>
</html>
""".encode()


def _page_of(problems: Sequence[Problem]) -> bytes:
    """Return the page of a type. `problems`: this type, once for each cause."""
    first = problems[0]
    status = f"{first.status.value} {first.status.phrase}"
    lines = [f"<code>{first.slug}</code>, status {status}", *(_as_html(one.detail) for one in problems)]
    return _page(first.title, "\n".join(f"      <p>{line}</p>" for line in lines))


def _index_of(types: Mapping[str, Sequence[Problem]]) -> bytes:
    rows = [
        f'        <dt><a href="{PROBLEMS_PATH}/{slug}">{slug}</a>, {problems[0].status.value}</dt>'
        + "".join(f"<dd>{_as_html(problem.detail)}</dd>" for problem in problems)
        for slug, problems in types.items()
    ]
    rows += [
        f"        <dt>about:blank, {problem.status.value}</dt><dd>{_as_html(problem.detail)}</dd>"
        for problem in WITHOUT_SLUG
    ]
    return _page("Problems", "      <dl>\n" + "\n".join(rows) + "\n      </dl>")


def _as_html(detail: str) -> str:
    """Return HTML with text between backticks as `<code>`."""
    parts = escape(detail).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


_TYPES: Final = {
    slug: tuple(problems)
    for slug, problems in groupby((*PROBLEMS.values(), PRECONDITION_REQUIRED), lambda problem: problem.slug)
}
_PAGES: Final = {slug: _page_of(problems) for slug, problems in _TYPES.items()}
_INDEX: Final = _index_of(_TYPES)


@get_public(PROBLEMS_PATH, include_in_schema=False, sync_to_thread=False)
def list_problems() -> Response[bytes]:
    """List all types of problems."""
    return Response(_INDEX, headers=HEADERS, media_type=HTML)


@get_public(f"{PROBLEMS_PATH}/{{slug:str}}", include_in_schema=False, sync_to_thread=False)
def explain_problem(slug: FromPath[str]) -> Response[bytes]:
    """Explain one type of problem."""
    if slug not in _PAGES:
        raise NotFoundException
    return Response(_PAGES[slug], headers=HEADERS, media_type=HTML)


PROBLEM_HANDLERS: Final = [list_problems, explain_problem]
