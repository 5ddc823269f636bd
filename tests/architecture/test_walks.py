"""The walk of a request in `docs/architecture.md` lists the files that the request really passes, in their order.

Each test traces one warm request in this process, from the ASGI call to the driver and back.
"""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest

import app
from tests.support.people import People, Person

SOURCE = Path(app.__file__).parent
PAGE = Path(__file__).parents[2] / "docs/architecture.md"

Request = Callable[[Person, dict[str, Any]], Awaitable[httpx.Response]]


async def list_tasks(ann: Person, _: dict[str, Any]) -> httpx.Response:
    return await ann.client.get("/api/me/tasks", headers=HEADERS)


async def create_task(ann: Person, _: dict[str, Any]) -> httpx.Response:
    return await ann.client.post("/api/me/tasks", headers=HEADERS, json={"title": "water the plants"})


async def patch_task(ann: Person, task: dict[str, Any]) -> httpx.Response:
    headers = {**HEADERS, "if-match": f'"{task["version"]}"'}
    title = {"title": f"version {task['version']}"}
    return await ann.client.patch(f"/api/me/tasks/{task['id']}", headers=headers, json=title)


HEADERS: dict[str, str] = {}
KINDS: dict[str, tuple[Request, int]] = {
    "list": (list_tasks, 20),
    "create": (create_task, 26),
    "patch": (patch_task, 25),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_walk_in_the_code_map_is_the_walk_of_a_request(kind: str, people: People) -> None:
    send, most = KINDS[kind]
    ann = people.one()
    HEADERS.update(ann.headers)
    task = await ann.create()
    for _ in range(2):  # what only a first request does
        task = (await patch_task(ann, task)).json()
        await send(ann, task)
        task = (await ann.ask("GET", task["id"])).json()

    await asyncio.sleep(
        0.1
    )  # the log's lines of before are written within 20 ms, which is no part of the walk
    with traced() as walk:
        response = await send(ann, task)

    assert response.is_success
    print(f"{kind}: {len(walk)} files")  # noqa: T201 - seen with `-rP`
    assert walk == written(kind)
    assert len(walk) <= most


def written(kind: str) -> list[str]:
    """Return the walk in the code map."""
    block = re.search(rf"```text\n{kind}: (\d+) files\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    files = block[2].split()
    assert int(block[1]) == len(files)
    return files


@contextmanager
def traced() -> Iterator[list[str]]:
    """Yield the files of `src/app` whose functions are called, each once, in the order of their first calls."""
    walk: list[str] = []
    files: dict[str, str | None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        name = frame.f_code.co_filename
        if name not in files:
            files[name] = name.removeprefix(f"{SOURCE}/") if name.startswith(f"{SOURCE}/") else None
            if (file := files[name]) is not None:
                walk.append(file)

    sys.setprofile(note)
    try:
        yield walk
    finally:
        sys.setprofile(None)
