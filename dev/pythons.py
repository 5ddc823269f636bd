"""`make pythons`: `make unit` on every other CPython from 3.11 on that this machine has.

Each interpreter has its own environment below `.venv/`, from the same lock file.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv" / "pythons"
UV = ROOT / ".venv" / "bin" / "uv"
OLDEST = (3, 11)
UV_ENVIRONMENT = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
PRINT_VERSION = "import sys; print(sys.implementation.name, *sys.version_info[:2])"

Version = tuple[int, int]


def main() -> int:
    """Run the tests on each other Python; return the exit status."""
    mine = sys.version_info[:2]
    others = {version: path for version, path in sorted(find_pythons().items()) if version != mine}
    failed = [version for version, path in others.items() if not passes(version, path)]
    print(f"Tested on {_format(others) or 'no other Python'}; `make unit` itself uses {_format([mine])}.")
    if failed:
        print(f"Failed on {_format(failed)}.")
    return bool(failed)


def passes(version: Version, path: Path) -> bool:
    """Run the tests that need no server; return whether they pass."""
    print(f"Python {_format([version])}: {path}", flush=True)
    bin_folder = make_environment(_format([version]), path).parent
    command = ["make", "--silent", "unit", f"BIN={bin_folder}"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0  # noqa: S603 - this project's own


def find_pythons() -> dict[Version, Path]:
    """Return the interpreters of this machine that are new enough, one of each minor version."""
    pythons: dict[Version, Path] = {}
    for path in _candidates():
        version = version_of(path)
        if version is not None and version >= OLDEST:
            pythons.setdefault(version, path)
    return pythons


def _candidates() -> Iterator[Path]:
    """Find interpreters on the PATH, and those of pyenv and uv."""
    for minor in range(OLDEST[1], OLDEST[1] + 20):
        if path := shutil.which(f"python3.{minor}"):
            yield Path(path)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    for place in (pyenv / "versions", home / ".local/share/uv/python"):
        yield from sorted(place.glob("*/bin/python3"), reverse=True)


def version_of(path: Path) -> Version | None:
    """Return the version of an interpreter; None for one that does not run (a shim) or is not CPython."""
    try:
        command = [str(path), "-c", PRINT_VERSION]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.fullmatch(r"cpython (\d+) (\d+)", printed.stdout.strip())
    return (int(found[1]), int(found[2])) if found else None


def make_environment(name: str, path: Path) -> Path:
    """Make or refresh the virtual environment of a Python; return its interpreter."""
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    if not python.exists():
        run_uv("venv", "--python", str(path), str(folder))
    run_uv("pip", "sync", "--require-hashes", "--python", str(python), "requirements-dev.lock")
    run_uv("pip", "install", "--no-deps", "--no-build-isolation", "--python", str(python), "--editable", ".")
    return python


def run_uv(*arguments: str) -> None:
    """Run uv, but let it download no Python."""
    subprocess.run([UV, *arguments, "--quiet"], cwd=ROOT, env=UV_ENVIRONMENT, check=True)  # noqa: S603 - a program of ours


def _format(versions: Iterable[Version]) -> str:
    """Write versions, as `3.11, 3.12`."""
    return ", ".join(f"{major}.{minor}" for major, minor in versions)


if __name__ == "__main__":
    sys.exit(main())
