"""The walk of a request in `docs/architecture.md` lists the files that the request really passes, in their order.

The walk marks the files that the request calls again on its way to the database.

Each test traces a request that is not the first of its kind, from the ASGI call to the driver and back.
"""

import asyncio
import math
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import asyncpg
import httpx
import pytest

import app
from app.infra.postgres import database
from tests.support.people import People

pytestmark = pytest.mark.server

SOURCE = Path(app.__file__).parent
CONTEXT = "api/context.py"  # data that each step reads
DRIVER = Path(asyncpg.__file__).parent
PAGE = Path(__file__).parents[2] / "docs/architecture.md"

Headers = dict[str, str]
Request = Callable[[httpx.AsyncClient, Headers, dict[str, Any]], Awaitable[httpx.Response]]


async def list_tasks(client: httpx.AsyncClient, headers: Headers, _: dict[str, Any]) -> httpx.Response:
    return await client.get("/api/me/tasks", headers=headers)


async def create_task(client: httpx.AsyncClient, headers: Headers, _: dict[str, Any]) -> httpx.Response:
    return await client.post("/api/me/tasks", headers=headers, json={"title": "water the plants"})


async def patch_task(client: httpx.AsyncClient, headers: Headers, task: dict[str, Any]) -> httpx.Response:
    headers = {**headers, "if-match": f'"{task["version"]}"'}
    title = {"title": f"version {task['version']}"}
    return await client.patch(f"/api/me/tasks/{task['id']}", headers=headers, json=title)


KINDS: dict[str, tuple[Request, int]] = {  # the request, and the allowed number of files
    "list": (list_tasks, 19),
    "create": (create_task, 25),
    "patch": (patch_task, 24),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_files_of_a_request_in_the_architecture_page_are_those_of_a_real_request(
    kind: str, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No statement counts as slow: on a busy machine a slow one would pass another file.
    monkeypatch.setattr(database, "USED_TIME_MIN", math.inf)
    send, most = KINDS[kind]
    ann = people.one()
    client, headers = ann.client, ann.headers  # the token is signed here, outside the trace
    task = await ann.create()
    for _ in range(2):  # the work that only a first request causes
        task = (await patch_task(client, headers, task)).json()
        await send(client, headers, task)
        task = (await ann.ask("GET", task["id"])).json()

    await asyncio.sleep(0.1)  # until the earlier log lines are written; this takes 20 ms
    with traced() as walk:
        response = await send(client, headers, task)

    assert response.is_success
    files = [*dict.fromkeys(walk.way_in + walk.way_back)]
    assert [
        f"{file} (again)" if walk.way_in.count(file) > 1 else file for file in files
    ] == files_on_the_page(kind)
    assert len(files) <= most


def files_on_the_page(kind: str) -> list[str]:
    """Return the files that the page lists for this kind of request."""
    block = re.search(rf"```text\n{kind}: (\d+) files\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    files = block[2].splitlines()
    assert int(block[1]) == len(files)
    return files


class Walk:
    """The files of `src/app` that a request passes. A file is noted when a function of another file calls it."""

    def __init__(self) -> None:
        self.way_in: list[str] = []
        self.way_back: list[str] = []  # after the driver was called
        self._frames: set[FrameType] = set()  # resuming a coroutine is also a "call" event
        self._way = self.way_in

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or frame in self._frames:
            return
        if f"{DRIVER}/" in frame.f_code.co_filename:
            self._way = self.way_back
        elif (file := file_of(frame)) is not None:
            self._frames.add(frame)
            if file == CONTEXT and file in self.way_in:
                return
            caller = frame.f_back
            while caller is not None and file_of(caller) is None:
                caller = caller.f_back
            if (caller is None or file_of(caller) != file) and self._way[-1:] != [file]:
                self._way.append(file)


def file_of(frame: FrameType) -> str | None:
    """Return the path below `src/app` of a function's file; None for other code."""
    name = frame.f_code.co_filename
    return name.removeprefix(f"{SOURCE}/") if name.startswith(f"{SOURCE}/") else None


@contextmanager
def traced() -> Iterator[Walk]:
    """Note the files that the block passes, and yield them as a walk."""
    walk = Walk()
    sys.setprofile(walk.note)
    try:
        yield walk
    finally:
        sys.setprofile(None)
