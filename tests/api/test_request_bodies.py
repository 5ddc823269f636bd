"""How the body of a request is received, and how a batch is read.

Each of these faults, put into the code on purpose, made a test fail: `Content-Length` not checked; a disconnect
taken for the end of the body; no other work between the steps of an operation (parsed, read, made, hashed); a
fingerprint of the operations without the rest of the body.
"""

import json
from typing import Any

import pytest
from litestar.exceptions import ClientException, HTTPException, InternalServerException

from app.api.requests.batch_body import read_batch
from app.api.requests.idempotency import idempotent_request
from app.api.requests.request import TaskRequest
from app.event_loop import TimeSlice
from tests.support.requests import task_request

BODY_MAX = 10  # bytes


def request(*messages: dict[str, Any], length: str | None = None) -> tuple[TaskRequest, list[dict[str, Any]]]:
    """Return a request, and the list of the messages that it has not received yet."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    headers = [] if length is None else [(b"content-length", length.encode())]
    return task_request(headers=headers, receive=receive, body_max=BODY_MAX), left


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    """Return the ASGI message with a part of a body; `more`: other parts follow."""
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_any_number_of_parts_is_received_completely() -> None:
    sent, _ = request(part(b"hello ", more=True), part(b"", more=True), part(b"you"))

    assert await sent.body() == await sent.body() == b"hello you"


async def test_a_body_with_a_content_length_that_is_too_large_is_not_received() -> None:
    sent, left = request(part(b"hello"), length="11")

    with pytest.raises(HTTPException) as refused:
        await sent.body()

    assert refused.value.status_code == 413
    assert len(left) == 1


async def test_receiving_stops_when_a_body_becomes_too_long() -> None:
    sent, left = request(*[part(b"four", more=True)] * 4)

    with pytest.raises(HTTPException) as refused:
        await sent.body()

    assert refused.value.status_code == 413
    assert len(left) == 1


async def test_a_client_that_disconnects_has_sent_no_body() -> None:
    sent, _ = request(part(b"{", more=True), {"type": "http.disconnect"})

    with pytest.raises(InternalServerException):
        await sent.body()


@pytest.mark.parametrize("length", ["five", "0" * 5000 + "5"])
async def test_a_content_length_that_is_no_number_or_has_too_many_digits_is_refused(length: str) -> None:
    sent, _ = request(part(b"hello"), length=length)

    with pytest.raises(ClientException):
        await sent.body()


CREATE = {"op": "create", "title": "é", "due": "2026-01-09"}


async def test_while_a_batch_is_read_other_work_runs_after_each_step_of_each_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = 0

    async def count(_: TimeSlice) -> None:
        nonlocal turns
        turns += 1

    monkeypatch.setattr("app.event_loop.SLICE", 0)
    monkeypatch.setattr(TimeSlice, "wait", count)

    await read_batch(
        task_request(headers=[(b"idempotency-key", b"x")]), json.dumps({"operations": [CREATE] * 50}).encode()
    )

    assert turns == 4 * 50  # parsed, read, made, hashed


async def test_a_batch_has_the_fingerprint_of_its_whole_body() -> None:
    request = task_request(headers=[(b"idempotency-key", b"x")])
    batch = {"operations": [CREATE, {**CREATE, "tags": ["x"]}]}
    body = json.dumps(batch, indent=1, ensure_ascii=False).encode()

    _, key = await read_batch(request, body)

    assert key == idempotent_request("batch", "x", batch)
