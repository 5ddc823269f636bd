"""Which Pythons of a machine `make pythons` tests on."""

import sys
from pathlib import Path

import pytest

from dev import pythons
from dev.pythons import find_pythons, version_of


def make_program(folder: Path, name: str, says: str) -> Path:
    """Write a program that ignores its arguments and runs this line of shell."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    return program


def test_version_of_returns_the_version_of_an_interpreter_and_none_for_any_other_file(
    tmp_path: Path,
) -> None:
    assert version_of(Path(sys.executable)) == sys.version_info[:2]
    assert version_of(tmp_path / "nowhere") is None
    assert version_of(make_program(tmp_path, "shim", "echo 'pyenv: not set' >&2; exit 127")) is None
    assert version_of(make_program(tmp_path, "pypy", "echo pypy 3 12")) is None


def test_one_interpreter_of_each_supported_version_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["cpython 3 10", "cpython 3 12", "cpython 3 12", "cpython 3 13", "pypy 3 12"]
    programs = [make_program(tmp_path, f"p{number}", f"echo {line}") for number, line in enumerate(names)]
    monkeypatch.setattr(pythons, "_candidates", lambda: iter(programs))

    assert find_pythons() == {(3, 12): programs[1], (3, 13): programs[3]}
