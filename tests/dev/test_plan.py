"""Which Node.js `make run` uses for sign-in and the page."""

from pathlib import Path

import pytest

from dev.plan import find_node


def make_node(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> Path:
    """Write the programs `node`, which prints a version, and `npm`. PATH then has only these two."""
    for name in ("node", "npm"):
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "node"


@pytest.mark.parametrize("version", ["v20.19.0", "v22.1.0"])
def test_a_node_that_is_new_enough_is_used(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node(tmp_path, monkeypatch, version)

    assert find_node() == (str(node), None)


@pytest.mark.parametrize("version", ["v20.18.3", "v18.20.4", "20"])
def test_another_node_is_not_used_and_the_reason_names_its_version(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_node(tmp_path, monkeypatch, version)

    assert find_node() == (None, f"Node.js is {version}: install 20.19 or newer to sign in")
