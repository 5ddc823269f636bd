"""The application in this process: its real self, spoken to without a socket.

Each error that it returns is compared with the OpenAPI document.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from app.api.middleware.outermost import Edge
from tests.support.documented import check_documented


@asynccontextmanager
async def client_of(app: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application, and stop it at the end.

    Its lifespan is entered and left in one task of its own, as anyio demands; a fixture's two halves are two.
    """
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.litestar.lifespan():
            started.set()
            await stop.wait()

    living = asyncio.create_task(live())
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
        await living
