"""docs/operations.md is complete: each setting, problem type and metric has a row, and no row is stale.

Each of these faults, put in on purpose, made a test fail: a setting, a problem or a metric without a row, a row of
something that was removed.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import app.api
from app.api.problem_pages import WITHOUT_SLUG
from app.api.problems import PROBLEMS, Problem
from app.infra.postgres.row_security import TABLES

ROOT = Path(__file__).parent.parent.parent
SETTINGS = ROOT / "src" / "app" / "settings"
NAME = re.compile(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)"')
CODE = re.compile(r"`([^`]+)`")


def rows_of(heading: str) -> set[str]:
    """Return the names in the first column of a section's table."""
    page = (ROOT / "docs" / "operations.md").read_text()
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in CODE.findall(row.split("|")[1])}


def settings_read() -> set[str]:
    """Return the settings that the code names."""
    source = "".join(file.read_text() for file in SETTINGS.glob("*.py"))
    return {name for name in NAME.findall(source) if len(name) > 3}


def settings_listed() -> set[str]:
    """Return the settings of `.env.example`."""
    return set(re.findall(r"^([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def problems() -> Iterator[Problem]:
    """Yield every problem of the code; the same one may come twice."""
    yield from PROBLEMS.values()
    for module in pkgutil.walk_packages(app.api.__path__, "app.api."):
        yield from (
            thing
            for thing in vars(importlib.import_module(module.name)).values()
            if isinstance(thing, Problem)
        )


def test_each_setting_has_a_row() -> None:
    assert rows_of("Settings") == settings_read() | settings_listed()


def test_each_setting_that_an_operator_sets_is_in_the_example() -> None:
    left_out = {
        "PROMETHEUS_MULTIPROC_DIR",
        "ENV_FILE",
        "TASKWARD_ACCEPTED_FILE",
        *(name for name in settings_read() if name.startswith("OTEL_")),
    }

    assert settings_read() - left_out <= settings_listed()


def test_each_problem_type_has_a_row() -> None:
    assert rows_of("Problems") == {problem.slug or "about:blank" for problem in problems()} | {"about:blank"}


def test_the_row_of_about_blank_has_each_status_of_a_problem_without_a_name() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("| `about:blank` |")]
    statuses = [int(status) for status in row.split("|")[2].split()]

    assert statuses == [problem.status for problem in WITHOUT_SLUG]


def test_the_page_grants_the_serving_role_rights_on_every_view() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (granted,) = re.findall(
        r"^GRANT SELECT, INSERT, UPDATE, DELETE ON (.+) TO taskward_serving;$", page, re.MULTILINE
    )

    assert set(granted.split(", ")) == {f"own_{table}" for table in TABLES}


def test_each_metric_has_a_row() -> None:
    source = "".join(
        (ROOT / "src" / "app" / name).read_text() for name in ("metrics.py", "cli/metrics_endpoint.py")
    )

    exported = source.replace("taskward_build", "taskward_build_info")  # the client library adds `_info`
    assert rows_of("Metrics") == set(re.findall(r'"(taskward_\w+)"', exported))
