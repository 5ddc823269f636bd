"""The environment of a run: machine, versions, commit."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.bed import Bed
from benchmarks.load import find_wrk
from benchmarks.servers import PEERS

ROOT: Final = Path(__file__).parent.parent
# The packages whose versions the results name.
OURS: Final = ("litestar", "granian", "asyncpg", "msgspec", "sqlalchemy", "pyjwt", "uvloop")
THEIRS: Final = ("fastapi", "sqlmodel", "sqlalchemy", "uvicorn", "asyncpg", "granian", "msgspec")
HONO: Final = ("hono", "postgres", "jose")


def describe_run(bed: Bed) -> dict[str, Any]:
    """Return the time, the commit, the machine and the versions of a run."""
    return {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": current_commit(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        },
        "versions": {
            "python": platform.python_version(),
            "postgresql": bed.postgres.query("SHOW server_version").partition(" ")[0],
            "node": _output_of("node", "--version").removeprefix("v"),
            "wrk": _wrk(),
            "taskward": {name: version(name) for name in OURS},
            "fastapi": _locked("fastapi_sqlmodel"),
            "floor": _locked("floor"),
            "hono": _locked_by_npm(),
        },
    }


def in_words(where: dict[str, Any]) -> str:
    """Return the result of `describe_run` as one line."""
    machine, versions = where["machine"], where["versions"]
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gb']:.0f} GB,"
        f" {machine['system']}, Python {versions['python']}, PostgreSQL {versions['postgresql']},"
        f" Node {versions['node'] or 'absent'}; commit {where['commit']}, {where['measured_at']}"
    )


def describe_machine() -> str:
    """Return the cores, the processor, the memory and the Python of this machine, as a line."""
    memory = round(psutil.virtual_memory().total / 1e9)
    return f"{os.cpu_count()} cores ({_processor()}), {memory} GB, Python {platform.python_version()}"


def current_commit() -> str:
    """Return the current commit, with a note if a file other than the results differs from it."""
    name = _output_of("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    ignored = (":!README.md", ":!benchmarks/README.md", ":!benchmarks/*.json", ":!benchmarks/*.svg")
    changed = _output_of("git", "-C", str(ROOT), "status", "--porcelain", "--", ".", *ignored)
    return f"{name or 'unknown'}{' with changes' if changed else ''}"


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", cpus.read_text()) if cpus.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def _wrk() -> str:
    found = re.match(r"wrk (\S+)", _output_of(find_wrk() or "", "--version"))
    return found[1] if found else ""


def _locked(peer: str) -> dict[str, str]:
    lock = (PEERS / peer / "requirements.lock").read_text()
    return {
        name: number for name, number in re.findall(r"^([\w-]+)==(\S+)", lock, re.MULTILINE) if name in THEIRS
    }


def _locked_by_npm() -> dict[str, str]:
    lock = (PEERS / "hono" / "package.json").read_text()
    return {name: number for name, number in re.findall(r'"([@\w/-]+)": "(\d[\w.]*)"', lock) if name in HONO}


def _output_of(program: str, *arguments: str) -> str:
    path = shutil.which(program)
    if path is None:
        return ""
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - known programs
    return done.stdout.strip()
