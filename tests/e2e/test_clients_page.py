"""Every snippet of docs/clients.md is run, in its order, against the real servers."""

import ast
import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from dev.postgres import PostgresServer
from tests.support.servers.better_auth import better_auth
from tests.support.servers.migrated import migrated_database
from tests.support.servers.service import serving

pytestmark = pytest.mark.server

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "clients.md"
TSX = ROOT / "web" / "node_modules" / "tsx" / "dist" / "loader.mjs"
SNIPPET = re.compile(
    r"^## (?P<title>.+?)$|^```(?P<language>sh|ts|python)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
ACCOUNT = {"email": "ann@example.com", "password": "correct horse battery"}
TITLES = {
    "curl": "Water the plants",
    "Node": "Buy bread",
    "Python with httpx": "Call the dentist",
    "Python, generated from the OpenAPI document": "Buy milk",
}
"""The title that the last snippet of each section prints."""
FOLLOWER = "Python, following changes"  # a section whose program runs until it is stopped


def snippets() -> dict[str, list[tuple[str, str]]]:
    """Return the snippets below each heading: their language and text."""
    found: dict[str, list[tuple[str, str]]] = {}
    for match in SNIPPET.finditer(PAGE.read_text()):
        if match["title"]:
            found[match["title"]] = []
        else:
            found[list(found)[-1]].append((match["language"], match["code"]))
    return found


def command_of(language: str, code: str, folder: Path) -> tuple[str, ...]:
    """Return the command that runs a snippet in a folder."""
    if language == "sh":
        return ("bash", "-euc", code)
    if language == "python":
        return (sys.executable, "-c", code)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "tasks.ts").write_text(code)
    shutil.copytree(ROOT / "web" / "lib", folder / "lib" / "taskward")
    return ("node", "--import", str(TSX), "tasks.ts")


@pytest.fixture(scope="module")
async def env(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, str]]:
    """The environment variables that the page requires."""
    database = await migrated_database(postgres)
    # Tokens live for 20 s instead of 15 minutes, so a program that runs for longer must get a new one.
    async with better_auth(postgres.new_database(), life="20s") as auth:
        person = {"name": "Ann", **ACCOUNT}
        (
            await auth.client.post("/api/auth/sign-up/email", json=person, headers={"origin": auth.url})
        ).raise_for_status()
        settings = {"DATABASE_URL": database, "BETTER_AUTH_URL": auth.url}
        with serving(settings, tmp_path_factory.mktemp("service")) as service:
            yield {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "AUTH_URL": auth.url,
                "TASKS_URL": service.url,
                "DATABASE_URL": database,
                "EMAIL": ACCOUNT["email"],
                "PASSWORD": ACCOUNT["password"],
            }


@pytest.mark.parametrize("title", TITLES)
async def test_the_snippets_of_the_page_work(env: dict[str, str], tmp_path: Path, title: str) -> None:
    output = b""
    for language, code in snippets()[title]:
        command = command_of(language, code, tmp_path)
        process = await asyncio.create_subprocess_exec(
            *command, env=env, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, complaints = await process.communicate()
        assert process.returncode == 0, complaints.decode()

    assert TITLES[title] in output.decode()


async def test_the_follower_continues_from_its_stored_copy_and_reads_everything_again_after_410(
    env: dict[str, str], tmp_path: Path
) -> None:
    ((language, code),) = snippets()[FOLLOWER]
    command = command_of(language, code, tmp_path)
    sessions_before = await count_sessions(env)
    async with tasks_of_ann(env) as ann:
        kept = await create(ann, "Walk the dog")
        gone = await create(ann, "Feed the cat")
        async with output_of(command, env, tmp_path) as printed:
            await until_printed(printed, {kept, gone})
            new = await create(ann, "Comb the dog")
            await until_printed(printed, {kept, gone, new})  # the program reads it from the stream

        await ann.delete(f"/{await id_of(ann, gone)}", params={"permanent": "true"})
        await resync(env)  # the stored token now gets 410
        async with output_of(command, env, tmp_path) as printed:
            await until_printed(printed, {kept, new}, without=gone)
            await resync(env)
            last = await create(ann, "Wash the dog")  # the stream reads the feed, and its token gets 410
            await until_printed(printed, {kept, new, last}, without=gone)

    stored = json.loads((tmp_path / "tasks.json").read_text())
    assert {kept, new, last} <= {task["title"] for task in stored["tasks"].values()}
    new_sessions = 4  # Ann's, one of each run of the program, and that of the second count
    assert await count_sessions(env) - sessions_before == new_sessions


@asynccontextmanager
async def tasks_of_ann(env: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of Ann's tasks. It gets a new token for each request, because tokens live only 20 s here."""
    async with httpx.AsyncClient(base_url=f"{env['AUTH_URL']}/api/auth") as auth:
        (await auth.post("/sign-in/email", json=ACCOUNT)).raise_for_status()

        async def with_token(request: httpx.Request) -> None:
            token = (await auth.get("/token")).raise_for_status().json()["token"]
            request.headers["authorization"] = f"Bearer {token}"

        hooks = {"request": [with_token]}
        async with httpx.AsyncClient(
            base_url=f"{env['TASKS_URL']}/api/me/tasks", event_hooks=hooks
        ) as client:
            yield client


async def count_sessions(env: dict[str, str]) -> int:
    """Return the number of Ann's sessions, including the one that this function opens."""
    async with httpx.AsyncClient(base_url=f"{env['AUTH_URL']}/api/auth") as auth:
        (await auth.post("/sign-in/email", json=ACCOUNT)).raise_for_status()
        return len((await auth.get("/list-sessions")).raise_for_status().json())


async def create(ann: httpx.AsyncClient, title: str) -> str:
    (await ann.post("/", json={"title": title})).raise_for_status()
    return title


async def id_of(ann: httpx.AsyncClient, title: str) -> str:
    (task,) = [task for task in (await ann.get("/")).json() if task["title"] == title]
    return str(task["id"])


async def resync(env: dict[str, str]) -> None:
    """Let every token of the change feed get 410, as after a restored backup."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", "resync", env={"PATH": env["PATH"], "DATABASE_URL": env["DATABASE_URL"]}
    )
    assert await process.wait() == 0


@asynccontextmanager
async def output_of(
    command: tuple[str, ...], env: dict[str, str], folder: Path
) -> AsyncIterator[asyncio.StreamReader]:
    """Run a program until the block ends, and yield its standard output."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def until_printed(printed: asyncio.StreamReader, expected: set[str], *, without: str = "") -> None:
    """Read lines until one has all expected titles, and does not have the title `without`."""
    async with asyncio.timeout(60):
        while line := await printed.readline():
            shown = set(ast.literal_eval(line.decode()))
            if expected <= shown and without not in shown:
                return
    raise AssertionError("the program ended")


def test_every_snippet_of_the_page_is_run() -> None:
    assert set(snippets()) == {*TITLES, FOLLOWER}
    assert PAGE.read_text().count("```") == 2 * sum(map(len, snippets().values()))
