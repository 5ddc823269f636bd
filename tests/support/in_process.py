"""Runs the real application in the process of the test. Requests use no socket.

Each response is compared with the OpenAPI document.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from app.api.middleware.outermost import Edge
from tests.support.documented import check_documented


@asynccontextmanager
async def client_of(app: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application, yield a client of it, and stop the application when the block ends.

    anyio demands that one task enters and leaves the lifespan. pytest runs the two parts of a fixture in two tasks,
    so a separate task enters and leaves it.
    """
    started, stop = asyncio.Event(), asyncio.Event()

    async def run_lifespan() -> None:
        async with app.litestar.lifespan():
            started.set()
            await stop.wait()

    lifespan = asyncio.create_task(run_lifespan())
    await started.wait()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://testserver",
            event_hooks={"response": [check_documented]},
        ) as client:
            yield client
    finally:
        stop.set()
        await lifespan
