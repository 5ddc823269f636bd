"""The lock files of the apps `next` and `vite` in this folder have the packages that docs/front-ends.md installs."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from tests.e2e.front_ends.apps import HERE, run
from tests.e2e.front_ends.documentation import Section

OTHER_WAYS = "Other ways to sign in"


@pytest.mark.parametrize(
    ("section", "app"), [("Next.js", "next"), ("Vite", "vite"), ("Recipes", "vite"), (OTHER_WAYS, "next")]
)
def test_the_app_has_the_packages_that_the_documentation_installs(
    documented: dict[str, Section], section: str, app: str
) -> None:
    package = json.loads((HERE / app / "package.json").read_text())
    installed = [
        word
        for command in documented[section].commands
        if command.startswith("npm install ")
        for word in shlex.split(command)[2:]
        if not word.startswith("-")
    ]

    assert installed
    assert set(installed) <= {*package["dependencies"], *package["devDependencies"]}


@pytest.mark.skipif(shutil.which("npm") is None, reason="the documented front ends need Node.js and npm")
async def test_the_documentation_sets_the_overrides_that_the_app_is_locked_with(
    documented: dict[str, Section], tmp_path: Path
) -> None:
    package = json.loads((HERE / "next" / "package.json").read_text())
    locked = package.pop("overrides")
    (tmp_path / "package.json").write_text(json.dumps(package))
    (command,) = (each for each in documented[OTHER_WAYS].commands if each.startswith("npm pkg set "))

    await run(command, tmp_path)

    assert json.loads((tmp_path / "package.json").read_text())["overrides"] == locked
