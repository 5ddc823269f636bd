"""A request leaves no reference cycles. To collect them would take a tenth of the time of a frequent request."""

import gc
import json
from typing import Any

import pytest

from app.api.middleware.outermost import Edge
from app.composition import compose
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import People

pytestmark = pytest.mark.server

REPETITIONS = 50  # of each request


async def response_body(
    app: Edge, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> bytes:
    """Call the application as a server does, and return the body. A client of httpx would leave its own cycles."""
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "http_version": "1.1", "scheme": "http", "root_path": "", "state": {}}
    address, _, query = path.partition("?")
    all_headers = {"host": "testserver", "content-length": str(len(body)), **headers}
    await app(
        {
            **scope,
            "method": method,
            "path": address,
            "raw_path": address.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in all_headers.items()],
            "client": ("127.0.0.1", 1),
        },
        receive,
        send,
    )
    return b"".join(sent)


async def test_frequent_requests_leave_no_reference_cycles(database_url: str) -> None:
    app = compose(Settings.from_env(environment_for(database_url)))
    async with client_of(app) as client:
        headers = People(client).one().headers
        with_type = {**headers, "content-type": "application/json"}
        task = json.loads(await response_body(app, "POST", "/api/me/tasks", with_type, b'{"title": "x"}'))[
            "id"
        ]
        requests: dict[str, tuple[Any, ...]] = {
            "list": ("GET", "/api/me/tasks?limit=50", headers),
            "read": ("GET", f"/api/me/tasks/{task}", headers),
            "create": ("POST", "/api/me/tasks", with_type, b'{"title": "y"}'),
            "toggle": ("PATCH", f"/api/me/tasks/{task}/complete", headers),
            "without a token": ("GET", "/api/me/tasks", {}),
            "large response": ("GET", "/docs/swagger-ui-bundle.js", {}),
        }

        cycles = {}
        for name, request in requests.items():
            for _ in range(5):  # fills the caches
                assert await response_body(app, *request)
            gc.collect()
            gc.disable()
            try:
                for _ in range(REPETITIONS):
                    await response_body(app, *request)
                cycles[name] = gc.collect() // REPETITIONS  # a few objects of other work do not count
            finally:
                gc.enable()

    assert cycles == dict.fromkeys(requests, 0)
