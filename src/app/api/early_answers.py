"""Answers to requests that go no further than the edge."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from litestar.types import Send

from app.api.problems import MEDIA_TYPE, Problem, document


async def refuse(
    send: Send,
    scope: Any,
    problem: Problem,
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    detail: str = "",
) -> None:
    """Send a problem."""
    body = document(problem, scope, detail=detail)
    told = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": problem.status.value, "headers": told})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def empty(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    """Send headers and nothing else."""
    await send({"type": "http.response.start", "status": HTTPStatus.NO_CONTENT.value, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
