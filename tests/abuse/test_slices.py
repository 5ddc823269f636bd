"""No step of reading a request's body blocks the event loop for long, however large the body.

The tests measure CPU seconds, which do not grow on a busy machine.
The garbage collector skips objects that existed before the tests, as in `app.main`.
Each of these faults, put into the code on purpose, made a test fail: a batch never yields to the event loop; the
members and items of a JSON text have no limit.
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
from app.api.requests.request import SMALL_BODY_MAX
from app.composition import compose
from app.settings import Settings
from tests.abuse.bodies import BATCHES, COSTLIEST, REFUSED_BATCHES, REFUSED_BODIES, batch_of, to_json
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import People, Person

pytestmark = pytest.mark.server

STEP_MAX = 0.04  # CPU seconds; measured: 0.007 for the costliest step, 0.6 for all steps of a batch
LARGE_PUT = {"title": "x", "description": COSTLIEST, "position": [["x" * 1_000] * 5] * 40}


@dataclass
class Result:
    """The result of a request."""

    status: int
    longest: float  # CPU seconds: the longest time for which the event loop was blocked


@dataclass
class InProcess:
    """The application in this process, and a person who uses it."""

    app: Edge
    person: Person

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Result:
        """Call the application as a server does; httpx would block the event loop itself."""
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
        done = asyncio.Event()
        watching = asyncio.create_task(longest_step(done))
        await asyncio.sleep(0)
        await self.app(scope, receive, send)
        done.set()
        return Result(messages[0]["status"], await watching)


async def longest_step(done: asyncio.Event) -> float:
    """Return the longest CPU seconds between two turns of the event loop, until `done` is set."""
    longest, before = 0.0, time.thread_time()
    while not done.is_set():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    return longest


@pytest.fixture(scope="module")
async def in_process(database_url: str) -> AsyncIterator[InProcess]:
    env = environment_for(database_url, REQUEST_TIMEOUT="60")  # a busy machine may take long for 100 rows
    app = compose(Settings.from_env(env))
    async with client_of(app) as client:
        gc.freeze()
        yield InProcess(app, People(client).one())
        gc.unfreeze()


TOO_LONG = (  # bodies with a part that has more bytes than may be parsed at once
    "long numbers",
    "brackets that never close",
    "deep brackets that all close",
    "more brackets close than open",
)
UNKNOWN = "/01890a5d-ac96-774b-bcce-b302099a8057"  # an id that no task has
CASES = {
    **{f"a batch of {name}": ("POST", "/batch", body, 200) for name, body in BATCHES.items()},
    **{
        f"a batch, refused for {name}": ("POST", "/batch", body, 413 if name in TOO_LONG else 400)
        for name, body in REFUSED_BATCHES.items()
    },
    **{
        f"{method} {path}, refused for {name}": (method, path, body, 400)
        for method, path in (("POST", ""), ("PUT", UNKNOWN), ("PATCH", UNKNOWN), ("POST", f"{UNKNOWN}/move"))
        for name, body in REFUSED_BODIES.items()
    },
    "a batch of updates": (
        "POST",
        "/batch",
        batch_of({"op": "update", "description": COSTLIEST, "tags": []}, ids=True),
        404,
    ),
    "a PUT with a field that only the server sets": ("PUT", UNKNOWN, to_json(LARGE_PUT), 404),
    "a PATCH": ("PATCH", UNKNOWN, to_json({"title": "x", "description": COSTLIEST}), 404),
}


@pytest.mark.parametrize("name", CASES)
async def test_no_step_of_reading_a_body_blocks_the_event_loop_for_long(
    in_process: InProcess, name: str
) -> None:
    method, path, body, status = CASES[name]

    result = await in_process.request(method, path, body, {"idempotency-key": str(uuid4())})

    assert result.status == status
    assert result.longest < STEP_MAX


HAN = "\u6f22a" * 3_900
SMALL_BUT_COSTLY = {
    "Han text": ("PATCH", UNKNOWN, to_json({"title": "x", "description": HAN}), 404),
    "Han text in escapes": ("PATCH", UNKNOWN, json.dumps({"description": HAN[:3_900]}).encode(), 404),
    "a batch": ("POST", "/batch", batch_of({"op": "create", "title": "t"}), 200),
}


@pytest.mark.parametrize("name", SMALL_BUT_COSTLY)
async def test_small_bodies_that_take_long_are_worked_on_one_at_a_time(
    in_process: InProcess, name: str
) -> None:
    method, path, body, status = SMALL_BUT_COSTLY[name]
    assert len(body) <= SMALL_BODY_MAX

    alone = [await in_process.request(method, path, body, {}) for _ in range(3)]
    together = await asyncio.gather(*(in_process.request(method, path, body, {}) for _ in range(30)))

    assert {result.status for result in (*alone, *together)} == {status}
    longest = max(result.longest for result in together)
    assert longest < 5 * max(result.longest for result in alone)
