"""docs/changing.md is true: its blocks, applied to a copy, add a field, a route, a problem type, a setting and a table.

Each of these faults, put into the code on purpose, made a test fail: a place that the code no longer has; a step
left out of each section; a migration with a number that the code has taken; a removed test of GUARDS.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest

from app.api.requests.batch_body import _KINDS
from app.domain.task_list import Order
from app.infra.auth.jwt_claims import ALGORITHMS

ROOT = Path(__file__).parents[2]
COPIED = ("src", "tests", "docs", "dev", "web/lib", "web/test", "pyproject.toml", ".env.example")
BLOCK = re.compile(r"^ *```(?:diff|python)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
MIGRATION = re.compile(
    r"# src/app/infra/migrations/versions/(\d{4})_\w+\.py\n.*?"
    r"^revision = \"(\d{4})\"\ndown_revision = \"(\d{4})\"$",
    re.MULTILINE | re.DOTALL,
)

GUARDS = (
    "tests/architecture/test_every_statement_names_the_owner.py",
    "tests/architecture/test_every_table_is_watched.py",
    "tests/architecture/test_front_ends_page.py",
    "tests/architecture/test_operations_page.py",
    "tests/api/test_histories.py",
    "tests/api/test_openapi.py",
    "tests/api/test_task_fields.py",
    "tests/infra/test_backfill.py",
    "tests/infra/test_round_trips.py::test_every_operation_of_the_api_has_an_expected_number_of_round_trips",
    "tests/infra/test_round_trips.py::test_each_operation_takes_its_expected_number_of_round_trips[PostgreSQL-makeTaskUrgent]",
    "tests/infra/test_migrations.py::test_the_migrated_schema_equals_that_of_the_models",
    "tests/infra/test_migrations.py::test_every_table_with_an_owner_has_row_level_security",
    "tests/infra/test_migrations.py::test_a_second_upgrade_does_nothing_and_downgrade_and_upgrade_work",
    "tests/infra/test_migrations.py::test_each_migration_only_expands_so_that_the_previous_version_still_works",
)
"""These tests fail if a step of the page is left out."""

NAMED_TOGETHER = {
    "a sort order": [rf"\bOrder\.{order.name}\b" for order in Order],
    "a token algorithm": [
        rf"\b{name}\b" for name in ALGORITHMS if name != "HS256"
    ],  # HS256 is for a shared secret
    "the header of a rate limit": [r"[\"`]ratelimit\b|RateLimit-Policy"],
    "an operation of a batch": [f'"{name}"' for name in _KINDS],
}
"""Patterns of all items of a kind. Who adds an item must look at each file in which all of them occur."""


def test_the_migrations_of_the_page_take_the_next_free_numbers() -> None:
    taken = [script.stem[:4] for script in (ROOT / "src/app/infra/migrations/versions").glob("[0-9]*.py")]
    newest = int(max(taken))

    on_the_page = [found.groups() for block in blocks_of_the_page() if (found := MIGRATION.match(block))]

    next_free = [f"{newest + n:04}" for n in range(3)]
    assert on_the_page == [(new, new, before) for before, new in pairwise(next_free)], (
        f"docs/changing.md: give its migrations the numbers {next_free[1]} and {next_free[2]}"
    )


def test_each_guard_of_the_page_exists() -> None:
    missing = []
    for guard in GUARDS:
        path, _, test = guard.partition("[")[0].partition("::")
        file = ROOT / path
        if not file.is_file() or (test and f"def {test}(" not in file.read_text()):
            missing.append(guard)

    assert missing == []


@pytest.mark.server
def test_each_change_of_the_page_works_in_a_copy(tmp_path: Path) -> None:
    for name in COPIED:
        copy_of(ROOT / name, tmp_path / name)
    written = [apply(block, tmp_path) for block in blocks_of_the_page()]
    shorten_histories(tmp_path)

    new_tests = [name for name in written if name.startswith("tests/") and not (ROOT / name).exists()]
    run(tmp_path, "-m", "app", "openapi", "--output", "docs/openapi.json")
    modules = {name for name in written if name.endswith(".py")}
    run(tmp_path, "-m", "ruff", "check", "--quiet", *modules)
    run(tmp_path, "-m", "ruff", "format", "--quiet", "--diff", *modules)
    run(tmp_path, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *new_tests, *GUARDS)

    assert len(new_tests) == 5  # one for each section


def test_each_place_that_a_change_names_exists() -> None:
    table = (ROOT / "docs/changing.md").read_text().split("## Other changes")[1]
    places = re.findall(r"`([\w/-]+\.\w+)`(?: \((.*?)\))?", table)

    assert len(places) > 20
    for path, names in places:
        (file,) = (base / path for base in (ROOT / "src/app", ROOT) if (base / path).is_file())
        missing = [name for name in re.findall(r"`(\w+)`", names) if name not in file.read_text()]
        assert not missing, path


@pytest.mark.parametrize("change", NAMED_TOGETHER)
def test_each_file_that_lists_all_items_of_a_kind_is_named_by_the_page(change: str) -> None:
    table = (ROOT / "docs/changing.md").read_text().split("## Other changes")[1]
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {change} |")]
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    left_out = {Path(__file__), ROOT / "docs/changing.md"}  # they name every item of every kind

    places = {
        file.relative_to(ROOT).as_posix().removeprefix("src/app/")
        for file in {*files, ROOT / "README.md"} - left_out
        if all(re.search(name, file.read_text()) for name in NAMED_TOGETHER[change])
    }

    assert len(places) > 2
    assert {place for place in places if f"`{place}`" not in row} == set()


def copy_of(source: Path, target: Path) -> None:
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    else:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("node_modules", "__pycache__", "dist"))


def blocks_of_the_page() -> list[str]:
    """Return the page's blocks of code, without their indentation."""
    return [textwrap.dedent(block) for block in BLOCK.findall((ROOT / "docs/changing.md").read_text())]


def apply(block: str, copy: Path) -> str:
    """Change or add the file that the first line of a block names, and return its name."""
    first, _, rest = block.partition("\n")
    name = first.removeprefix("# ")
    if not rest.startswith("@@ "):
        assert not (copy / name).exists(), name
        (copy / name).write_text(rest)
        return name
    text = (copy / name).read_text()
    for hunk in re.split(r"^@@ .*\n", rest, flags=re.MULTILINE)[1:]:
        text = apply_hunk(text, hunk.splitlines(), name)
    (copy / name).write_text(text)
    return name


def apply_hunk(text: str, hunk: list[str], name: str) -> str:
    """Return the text with this change. The lines before the change must occur exactly once."""
    before = [line[1:] for line in hunk if not line.startswith("+")]
    place = "\n".join(re.escape(line).replace("…", "(.*)") for line in before)
    found = list(re.finditer(rf"^{place}$", text, re.MULTILINE))
    assert len(found) == 1, f"{name} has {len(found)} places like this:\n" + "\n".join(before)
    rests = iter(found[0].groups())
    after = [re.sub("…", lambda _: next(rests), line[1:]) for line in hunk if not line.startswith("-")]
    return text[: found[0].start()] + "\n".join(after) + text[found[0].end() :]


def shorten_histories(copy: Path) -> None:
    """Run only a few random histories: they show whether the model has the new field."""
    file = copy / "tests/api/test_histories.py"
    file.write_text(re.sub(r"^HISTORIES = \d+$", "HISTORIES = 3", file.read_text(), flags=re.MULTILINE))


def run(copy: Path, *arguments: str) -> None:
    """Run Python with these arguments in the copy, and check that it succeeds."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**environment, "PYTHONPATH": f"{copy / 'src'}:{copy}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
