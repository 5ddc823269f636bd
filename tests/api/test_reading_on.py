"""After an early response the rest of the body is read and dropped, for a limited number of bodies at once."""

import asyncio

import pytest
from litestar.types import HTTPRequestEvent

from app.api import backpressure
from app.api.backpressure import IncomingBody


async def never_ending() -> HTTPRequestEvent:
    """Receive a part of a body that never ends."""
    await asyncio.sleep(0.01)
    return {"type": "http.request", "body": b"x", "more_body": True}


async def test_beyond_the_limit_of_a_worker_the_rest_of_the_next_body_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backpressure, "READ_ON_AT_ONCE", 2)
    reading = [asyncio.create_task(IncomingBody(never_ending).read_on(60)) for _ in range(2)]
    await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await IncomingBody(never_ending).read_on(3600)  # returns at once, and not after an hour
    for each in reading:
        each.cancel()
    await asyncio.gather(*reading, return_exceptions=True)

    assert IncomingBody.draining == 0
