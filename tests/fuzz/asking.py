"""Requests as the readers of the API see them, without a server."""

from types import SimpleNamespace
from typing import Any, cast

from litestar.datastructures import Headers

from app.api.requests.conditional import REQUIRE_IF_MATCH
from app.api.requests.request import BODY_TIMEOUT, TaskRequest
from app.domain.identity import UserId

ANN = UserId("ann")
Lines = list[tuple[bytes, bytes]]


def request(
    *, query: bytes = b"", headers: Lines | None = None, task_id: str = "", must_match: bool = False
) -> TaskRequest:
    """Make what a reader looks at; `must_match`: where `If-Match` is wanted."""
    scope = {"query_string": query, "headers": headers or []}
    return cast(
        "TaskRequest",
        SimpleNamespace(
            scope=scope,
            headers=Headers.from_scope(cast("Any", scope)),
            path_params={"task_id": task_id},
            user=SimpleNamespace(user_id=ANN),
            route_handler=SimpleNamespace(opt={REQUIRE_IF_MATCH: must_match, BODY_TIMEOUT: 10}),
        ),
    )
