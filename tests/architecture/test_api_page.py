"""docs/api.md, "Limits": each figure is the constant or the setting of the code, and each problem has its status.

Each of these faults, put in on purpose, made a test fail: a wrong figure, a changed constant, a row without a
source, a wrong status.
"""

import re
from pathlib import Path

from app.api.backpressure import TURN_TIMEOUT
from app.api.problems import PROBLEMS
from app.api.requests.batch_body import BATCH_MAX
from app.api.requests.request import CHEAP_BODY_MAX, SMALL_BODY_MAX
from app.api.requests.task_bodies import BODY_MAX
from app.domain.commands import OPERATIONS_MAX
from app.domain.due import YEAR_MAX, YEAR_MIN
from app.domain.tags import TAG_MAX, TAGS_MAX
from app.domain.task import DESCRIPTION_MAX, TITLE_MAX
from app.live.hub import PERSON_MAX
from app.settings import Settings

KB, MB = 1024, 1024 * 1024  # bytes
PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
SECTION = PAGE.split("\n## Limits\n")[1].split("\n## ")[0]
ROWS = [
    [cell.strip() for cell in row.strip("|").split("|")]
    for row in SECTION.splitlines()
    if row.startswith("| ") and not row.startswith("| what ")
]
DEFAULTS = Settings.from_env(
    {"DATABASE_URL": "postgresql://ann@db/x", "BETTER_AUTH_URL": "https://x.example"}
)
PERSON = DEFAULTS.rate_limits.person
ONE_AT_A_TIME = 1  # `LargeBodies` has one lock for each person

FIGURES: dict[str, tuple[float, ...]] = {
    "requests": (PERSON.requests, PERSON.seconds),
    "a body": (BODY_MAX / KB, BATCH_MAX / MB, BODY_MAX / KB, DEFAULTS.body_timeout),
    "large bodies at once": (SMALL_BODY_MAX / KB, CHEAP_BODY_MAX / KB, ONE_AT_A_TIME, TURN_TIMEOUT),
    "event streams": (PERSON_MAX,),
    "tasks, with the trash": (DEFAULTS.max_tasks,),
}
"""For each row, by its first words: its figures, in their order."""


def figures_in(text: str) -> tuple[float, ...]:
    """Return the numbers of a text, without their commas."""
    return tuple(float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text))


def test_each_limit_on_the_page_is_that_of_the_code() -> None:
    shown = {what.partition(" (")[0]: figures_in(f"{what} {limit}") for what, limit, _ in ROWS}

    assert shown == FIGURES


def test_each_response_beyond_a_limit_has_the_status_of_its_problem() -> None:
    statuses = {problem.slug: problem.status.value for problem in PROBLEMS.values()}
    shown = [pair for *_, response in ROWS for pair in re.findall(r"(\d{3}) `([a-z-]+)`", response)]

    assert len(shown) == 4
    assert [(slug, int(status)) for status, slug in shown] == [(slug, statuses[slug]) for _, slug in shown]


def test_the_number_of_requests_of_an_import_follows_from_the_size_of_a_batch() -> None:
    ((at_once, tasks, requests),) = re.findall(
        r"up to (\d+) tasks. ([\d,]+) tasks are (\d+) requests", SECTION
    )

    assert int(at_once) == OPERATIONS_MAX
    assert figures_in(tasks) == (int(requests) * OPERATIONS_MAX,)


def test_the_lengths_of_texts_and_the_number_of_tags_are_those_of_the_code() -> None:
    (sentence,) = re.findall(r"A title has at most .*", SECTION)

    assert figures_in(sentence) == (TITLE_MAX, DESCRIPTION_MAX, TAGS_MAX, TAG_MAX)


def test_the_years_of_due_are_those_of_the_code() -> None:
    assert re.findall(r"in the years (\d+) to (\d+)\.", PAGE) == [(str(YEAR_MIN), str(YEAR_MAX))]


def test_the_bounds_of_stored_responses_are_the_defaults() -> None:
    ((keys, megabytes),) = re.findall(r"more than ([\d,]+) keys or (\d+) MB of stored responses", PAGE)

    assert figures_in(f"{keys} {megabytes}") == (DEFAULTS.max_keys, DEFAULTS.max_kept_mb)
