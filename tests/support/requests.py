"""A request for tests of `read_…` functions and of middleware, without a server."""

from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

from app.api.backpressure import ByteBudget, LargeBodies, LargeResponses
from app.api.context import AppState, RequestContext, context_of, make_context
from app.api.requests.request import TaskRequest
from app.domain.identity import UserId
from app.live.change_marks import ChangeMarks
from app.live.hub import Hub
from tests.support.fakes import NameVerifier

ANN = UserId("ann")
Lines = list[tuple[bytes, bytes]]


async def must_not_receive() -> dict[str, Any]:
    raise AssertionError("no body was expected to be read")


async def must_not_send(message: Any) -> None:
    raise AssertionError(f"no response was expected: {message}")


def task_request(  # noqa: PLR0913 - keywords with defaults
    *,
    query: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    task_id: str = "",
    require_if_match: bool = False,
    receive: Callable[[], Awaitable[Any]] = must_not_receive,
    body_max: int = 0,
    peer: str | None = None,
) -> TaskRequest:
    """Make a request of Ann.

    `require_if_match` and `body_max` (bytes) are settings of the service; `peer` is the address of the client.
    """
    scope: Any = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": query,
        "headers": [*headers],
        "client": None if peer is None else (peer, 1234),
        "path_params": {"task_id": task_id},
        "route_handler": SimpleNamespace(resolve_request_max_body_size=lambda: body_max),
        "state": {},
    }
    state = AppState(
        unit_of_work_of=lambda owner: SimpleNamespace(owner=owner),  # type: ignore[arg-type,return-value]  # no `read_…` function uses it
        unit_of_work_of_stream=lambda owner: SimpleNamespace(owner=owner),  # type: ignore[arg-type,return-value]
        bodies=ByteBudget(of_one=10**9, of_all=10**9),
        large_bodies=LargeBodies(),
        large_responses=LargeResponses(),
        problem_base="/problems",
        require_if_match=require_if_match,
        body_timeout=10,
        hub=Hub(ChangeMarks(is_shared=False)),
        verifier=NameVerifier(),
        shutdown_delay=0,
    )
    make_context(scope, state)
    context_of(scope).user = ANN
    return TaskRequest(scope, receive, must_not_send)


def context_with(headers: Sequence[tuple[bytes, bytes]], *, peer: str | None = None) -> RequestContext:
    """Make the context of a request with these headers."""
    return task_request(headers=headers, peer=peer).context
