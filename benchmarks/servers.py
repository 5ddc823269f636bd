"""The servers that are compared, and how each is installed and started."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PEERS: Final = Path(__file__).parent / "peers"
REPOSITORY: Final = PEERS.parent.parent
BEFORE: Final = "before"  # the name of an older Taskward among the servers: `make bench BEFORE=<commit>`
BIN: Final = Path(sys.executable).parent
NODE_LEAST: Final = 20
POOL: Final = "10"  # connections of each server: peers read this variable; Taskward's default is the same
QUOTAS: Final = {"MAX_TASKS": "10000000", "MAX_KEYS": "1000000", "MAX_KEPT_MB": "10000"}
"""Limits of one person, so high that no scene reaches them."""


class NotInstalled(Exception):
    """A server cannot be measured here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server: installed once, then started again and again."""

    name: str
    title: str
    install: Callable[[Path], list[str]]
    """Installs the server in a folder and returns the command that starts it, with `{port}` for the port.

    Raises NotInstalled.
    """
    checks: bool = True  # whether it refuses an invalid body
    cwd: Path = REPOSITORY
    plays: Callable[[str], bool] = lambda _: False  # whether it can play a scene that only Taskward has
    ours: bool = False  # Taskward, of this or another commit: it uses its own tables and login role


def _taskward(_: Path) -> list[str]:
    return [sys.executable, "-m", "app", "serve"]


def _python_peer(name: str, *command: str) -> Callable[[Path], list[str]]:
    def install(folder: Path) -> list[str]:
        venv, lock = folder / name, PEERS / name / "requirements.lock"
        done = venv / "complete"
        if not done.exists() or done.read_bytes() != lock.read_bytes():
            shutil.rmtree(venv, ignore_errors=True)
            _run([sys.executable, "-m", "venv", "--without-pip", str(venv)], name)
            python = str(venv / "bin" / "python")
            sync = [str(BIN / "uv"), "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
            _run([*sync, "--python", python, str(lock)], name)
            done.write_bytes(lock.read_bytes())
        return [str(venv / "bin" / command[0]), *command[1:]]

    return install


def _hono(folder: Path) -> list[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotInstalled(f"Node.js {NODE_LEAST} or newer, with npm, is not installed")
    version = _run([node, "--version"], "node").strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_LEAST:
        raise NotInstalled(f"Node.js is {version}: {NODE_LEAST} or newer is needed")
    there = folder / "hono"
    source = PEERS / "hono"
    lock = (source / "package-lock.json").read_bytes()
    done = there / "complete"
    if not done.exists() or done.read_bytes() != lock:
        shutil.rmtree(there, ignore_errors=True)
        there.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, there)
        _run([npm, "ci", "--silent", "--no-audit", "--no-fund", "--prefix", str(there)], "hono")
        done.write_bytes(lock)
    shutil.copy(source / "server.js", there)
    return [node, str(there / "server.js")]


def _run(command: list[str], name: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - programs of ours
    if done.returncode:
        why = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalled(f"{name} could not be installed: {why[-1] if why else 'no reason given'}")
    return done.stdout


def taskward_at(commit: str) -> Server:
    """Return Taskward as it was at a commit: its own files and its own packages, on the same database."""

    def install(folder: Path) -> list[str]:
        git = ["git", "-C", str(REPOSITORY)]
        found = _run([*git, "rev-parse", "--verify", f"{commit}^{{commit}}"], f"commit {commit}").strip()
        there = folder / "before" / found
        python, done = there / ".venv" / "bin" / "python", there / "complete"
        if not done.exists():
            shutil.rmtree(there.parent, ignore_errors=True)
            there.mkdir(parents=True)
            archive = there / "files.tar"
            _run([*git, "archive", "--output", str(archive), found], f"commit {commit}")
            _run(["tar", "-xf", str(archive), "-C", str(there)], f"commit {commit}")
            _run([sys.executable, "-m", "venv", "--without-pip", str(there / ".venv")], f"commit {commit}")
            uv_install = [
                str(BIN / "uv"),
                "pip",
                "install",
                "--quiet",
                "--compile-bytecode",
                "--python",
                str(python),
            ]
            _run(
                [*uv_install, "--require-hashes", "--requirement", str(there / "requirements-dev.lock")],
                commit,
            )
            _run([*uv_install, "--no-deps", "--no-build-isolation", "--editable", str(there)], commit)
            done.touch()
        return [str(python), "-m", "app", "serve"]

    def plays(scene: str) -> bool:
        return not scene.startswith("changes") or _has(commit, "src/app/infra/task_changes.py")

    return Server(BEFORE, f"Taskward at {commit}", install, plays=plays, ours=True)


def _has(commit: str, path: str) -> bool:
    """Return whether a commit has a file."""
    command = ["git", "-C", str(REPOSITORY), "cat-file", "-e", f"{commit}:{path}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - ours


TASKWARD: Final = Server("taskward", "Taskward", _taskward, plays=lambda _: True, ours=True)

SERVERS: Final = (
    TASKWARD,
    Server(
        "fastapi",
        "FastAPI + SQLModel",
        _python_peer(
            "fastapi_sqlmodel",
            *("uvicorn", "main:app", "--port", "{port}", "--loop", "uvloop", "--http", "httptools"),
            *("--no-access-log", "--log-level", "warning"),
        ),
        cwd=PEERS / "fastapi_sqlmodel",
    ),
    Server("hono", "Hono + postgres.js + jose", _hono),
    Server(
        "floor",
        "a minimal server: ASGI + asyncpg",
        _python_peer(
            "floor",
            *("granian", "--interface", "asgi", "--loop", "uvloop", "--http", "1", "--no-ws", "--no-log"),
            *("--port", "{port}", "main:app"),
        ),
        cwd=PEERS / "floor",
        checks=False,
    ),
)


RATE_LIMIT: Final = "1000000000/60"  # requests / seconds: counted as in production, but never reached


def environment(database_url: str, port: int, more: Mapping[str, str]) -> dict[str, str]:
    """Return a server's environment: its settings, and PATH, HOME and LANG of this process."""
    here = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    own = {"DATABASE_URL": database_url, "PORT": str(port), "POOL": POOL}
    limits = {"RATE_LIMIT_PERSON": RATE_LIMIT, "RATE_LIMIT_ADDRESS": RATE_LIMIT, **QUOTAS}
    return {**here, **own, **limits, **more}
