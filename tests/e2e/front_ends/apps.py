"""The documented apps: what a generator such as create-vite makes, with the files of docs/front-ends.md."""

import asyncio
import json
import os
import shutil
import signal
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from dev.children import prepare
from tests.e2e.front_ends.documentation import Section
from tests.support.replacing import replace_each
from tests.support.servers.service import BARE_ENVIRONMENT

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SILENT = {"NEXT_TELEMETRY_DISABLED": "1", "BETTER_AUTH_TELEMETRY": "0", "NO_COLOR": "1", "CI": "1"}
"""Variables with which the tools send no telemetry, print no colours and wait for no input."""
COMMAND_TIMEOUT = 300  # seconds
START_TIMEOUT = 60  # seconds
REPLACED_COMMANDS = ("cd ", "npx create-", "npm create ", "npm install ", "npm run ", "git clone ", "make ")
"""Beginnings of documented commands that the tests replace, because of lock files and free ports."""


async def install(name: str) -> Path:
    """Install the packages of an app, unless those of its lock file are installed, and return their folder."""
    if shutil.which("npm") is None:
        pytest.skip("the documented front ends need Node.js and npm")
    modules = HERE / name / "node_modules"
    complete, lock = modules / ".complete", HERE / name / "package-lock.json"
    if not complete.exists() or complete.stat().st_mtime < lock.stat().st_mtime:
        await run("npm ci --prefer-offline --no-progress --loglevel=error", HERE / name)
        complete.touch()
    return modules


def make_app(
    name: str, folder: Path, section: Section, changes: Mapping[str, Mapping[str, str]] | None = None
) -> None:
    """Make an app in a folder: its skeleton, its packages, and the files of the documentation.

    `changes` replaces parts of these files, for example ports. Each replaced text occurs once.
    """
    skeleton = HERE / name
    shutil.copytree(skeleton, folder, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(skeleton / "node_modules", folder / "node_modules", symlinks=True, copy_function=link)
    taskward = folder.parent / "taskward"  # the documentation expects a checkout beside the app
    if not taskward.exists():
        taskward.symlink_to(ROOT)
    for title, text in section.files.items():
        file = folder / title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(replace_each(text, (changes or {}).get(title, {}), title))


def link(source: str, target: str) -> None:
    """Make a hard link. Copy the file if the target is on another disk, or if npm writes to it."""
    if not source.endswith(".package-lock.json"):
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


async def pack_client() -> Path:
    """Pack the TypeScript client of `web/lib`, and return the package's path."""
    await run("make dist", ROOT)
    package = json.loads((ROOT / "web" / "taskward-client" / "package.json").read_text())
    return ROOT / "dist" / f"taskward-client-{package['version']}.tgz"


def unchanged_commands(section: Section) -> list[str]:
    """Return the commands of the documentation that run unchanged."""
    return [command for command in section.commands if not command.startswith(REPLACED_COMMANDS)]


async def run(command: str, folder: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a shell command to its end, and return its output."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", command),
        cwd=folder,
        env={**BARE_ENVIRONMENT, **SILENT, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=prepare(),
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT)
    finally:
        stop(process)
    assert process.returncode == 0, f"`{command}` ended with {process.returncode}:\n{printed.decode()}"
    return printed.decode()


@asynccontextmanager
async def started(
    command: str,
    folder: Path,
    address: str,
    env: Mapping[str, str] | None = None,
    *,
    trust: Path | None = None,
) -> AsyncIterator[None]:
    """Run a server until the block ends, and wait until its address responds. `trust`: its certificate authority."""
    log = folder / "server.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euc", f"exec {command}"),
            cwd=folder,
            env={**BARE_ENVIRONMENT, **SILENT, **(env or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=prepare(),
        )
    verify = ssl.create_default_context(cafile=trust) if trust else False
    try:
        async with (
            asyncio.timeout(START_TIMEOUT),
            httpx.AsyncClient(timeout=START_TIMEOUT, verify=verify) as client,
        ):
            while True:
                assert process.returncode is None, log.read_text()
                with suppress(httpx.TransportError):
                    await client.get(address)
                    break
                await asyncio.sleep(0.05)
        yield
    finally:
        stop(process)
        await process.wait()


def stop(process: asyncio.subprocess.Process) -> None:
    """End a command and its children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
