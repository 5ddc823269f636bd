"""What docs/front-ends.md says to install is what the apps of these tests are locked to."""

import json
import shlex

import pytest

from tests.e2e.front_ends.apps import HERE
from tests.e2e.front_ends.documentation import Section


@pytest.mark.parametrize(("section", "app"), [("Next.js", "next"), ("Vite", "vite")])
def test_the_app_has_the_packages_that_the_documentation_installs(
    documented: dict[str, Section], section: str, app: str
) -> None:
    package = json.loads((HERE / app / "package.json").read_text())
    words = [
        word
        for command in documented[section].commands
        if command.startswith("npm install ")
        for word in shlex.split(command)[2:]
        if not word.startswith("-")
    ]

    assert "better-auth" in words
    assert set(words) <= {*package["dependencies"], *package["devDependencies"]}
