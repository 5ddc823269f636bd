"""Every snippet of docs/clients.md is run, in its order, against the real servers."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

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
    "Python, following changes": "Walk the dog",
    "Python, generated from the OpenAPI document": "Buy milk",
}


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
    """Return how a snippet is run in a folder."""
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
    """What the page says is set."""
    database = await migrated_database(postgres)
    async with better_auth(
        postgres.new_database(), life="20s"
    ) as auth:  # shorter than they count on: each renews
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
                "EMAIL": ACCOUNT["email"],
                "PASSWORD": ACCOUNT["password"],
            }


@pytest.mark.parametrize("title", TITLES)
async def test_the_snippets_do_what_they_say(env: dict[str, str], tmp_path: Path, title: str) -> None:
    output = b""
    for language, code in snippets()[title]:
        command = command_of(language, code, tmp_path)
        process = await asyncio.create_subprocess_exec(
            *command, env=env, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, complaints = await process.communicate()
        assert process.returncode == 0, complaints.decode()

    assert TITLES[title] in output.decode()


def test_every_snippet_of_the_page_is_run() -> None:
    assert set(snippets()) == set(TITLES)
    assert PAGE.read_text().count("```") == 2 * sum(map(len, snippets().values()))
