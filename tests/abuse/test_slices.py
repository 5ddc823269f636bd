"""No step of validating a request blocks the event loop for long, however large the request.

Seconds of the processor are measured, not of the clock: they are the same on a machine that has other work to do.
The collector of garbage skips what is here before, as in `app.main`.
Faults put in on purpose, each found by a test: no turns given in a batch, no bound on members and items of a JSON
text.
"""

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from app.api.middleware.outermost import Edge
from app.api.requests.request import SMALL_BODY
from app.composition import compose
from app.settings import Settings
from tests.abuse.bodies import BATCHES, DEAREST, REFUSED_BATCHES, REFUSED_BODIES, batch_of, written
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import People, Person

pytestmark = pytest.mark.server

PIECE_MAX = 0.04  # seconds of the processor; the dearest piece takes 0.007, all pieces of a batch 0.6 here
LARGE_PUT = {"title": "x", "description": DEAREST, "position": [["x" * 1_000] * 5] * 40}


@dataclass
class Judged:
    """The result of a request."""

    status: int
    longest: float  # seconds of the processor that the event loop was kept at a time


@dataclass
class InProcess:
    """The application in this process, and a person who uses it."""

    app: Edge
    person: Person

    async def judge(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Judged:
        """Ask as a server does: httpx would keep the event loop itself."""
        messages: list[dict[str, Any]] = []
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return parts.pop() if parts else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        all_headers = {**self.person.headers, "content-type": "application/json", **headers}
        path = f"/api/me/tasks{path}"
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (b"host", b"localhost"),
                (b"content-length", b"%d" % len(body)),
                *((name.encode(), value.encode()) for name, value in all_headers.items()),
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        watching = asyncio.create_task(longest_piece(done := asyncio.Event()))
        await asyncio.sleep(0)
        await self.app(scope, receive, send)
        done.set()
        return Judged(messages[0]["status"], await watching)


async def longest_piece(done: asyncio.Event) -> float:
    """Return the longest that the event loop was kept at a time, until the end."""
    longest, before = 0.0, time.thread_time()
    while not done.is_set():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    return longest


@pytest.fixture(scope="module")
async def in_process(database_url: str) -> AsyncIterator[InProcess]:
    env = environment_for(
        database_url, REQUEST_TIMEOUT="60"
    )  # a hundred rows may take long on a busy machine
    app = compose(Settings.from_env(env))
    async with client_of(app) as client:
        gc.freeze()
        yield InProcess(app, People(client).one())
        gc.unfreeze()


TOO_LONG = (
    "long numbers",
    "brackets that never close",
    "half of all brackets close",
    "brackets that only close",
)
ONE = "/01890a5d-ac96-774b-bcce-b302099a8057"  # of no task
CASES = {
    **{f"a batch of {name}": ("POST", "/batch", body, 200) for name, body in BATCHES.items()},
    **{
        f"a batch, refused for {name}": ("POST", "/batch", body, 413 if name in TOO_LONG else 400)
        for name, body in REFUSED_BATCHES.items()
    },
    **{
        f"{method} {path}, refused for {name}": (method, path, body, 400)
        for method, path in (("POST", ""), ("PUT", ONE), ("PATCH", ONE), ("POST", f"{ONE}/move"))
        for name, body in REFUSED_BODIES.items()
    },
    "a batch of updates": (
        *("POST", "/batch"),
        *(batch_of({"op": "update", "description": DEAREST, "tags": []}, ids=True), 404),
    ),
    "a PUT of what the server owns": ("PUT", ONE, written(LARGE_PUT), 404),
    "a PATCH": ("PATCH", ONE, written({"title": "x", "description": DEAREST}), 404),
}


@pytest.mark.parametrize("name", CASES)
async def test_no_slice_of_reading_a_body_blocks_the_event_loop_for_long(
    in_process: InProcess, name: str
) -> None:
    method, path, body, status = CASES[name]

    judged = await in_process.judge(method, path, body, {"idempotency-key": str(uuid4())})

    assert judged.status == status
    assert judged.longest < PIECE_MAX


HAN = "\u6f22a" * 3_900
SMALL_BUT_COSTLY = {
    "Han text": ("PATCH", ONE, written({"title": "x", "description": HAN}), 404),
    "Han text in escapes": ("PATCH", ONE, json.dumps({"description": HAN[:3_900]}).encode(), 404),
    "a batch": ("POST", "/batch", batch_of({"op": "create", "title": "t"}), 200),
}


@pytest.mark.parametrize("name", SMALL_BUT_COSTLY)
async def test_small_bodies_that_take_long_are_worked_on_one_at_a_time(
    in_process: InProcess, name: str
) -> None:
    method, path, body, status = SMALL_BUT_COSTLY[name]
    assert len(body) <= SMALL_BODY

    alone = [await in_process.judge(method, path, body, {}) for _ in range(3)]
    together = await asyncio.gather(*(in_process.judge(method, path, body, {}) for _ in range(30)))

    assert {judged.status for judged in (*alone, *together)} == {status}
    longest = max(judged.longest for judged in together)
    assert longest < 5 * max(judged.longest for judged in alone)
