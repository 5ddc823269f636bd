"""How the body of a request is received.

How each test was seen to fail: the announced length not looked at; a client that left taken for the end.
"""

from typing import Any

import pytest
from litestar.exceptions import ClientException, HTTPException, InternalServerException

from app.api.requests.request import TaskRequest
from tests.support.requests import task_request

AT_MOST = 10  # bytes


def request(*messages: dict[str, Any], length: str | None = None) -> tuple[TaskRequest, list[dict[str, Any]]]:
    """Make a request, and the messages that it has not received yet."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    headers = [] if length is None else [(b"content-length", length.encode())]
    return task_request(headers=headers, receive=receive, body_max=AT_MOST), left


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_is_received_once_whatever_its_parts() -> None:
    sent, _ = request(part(b"hello ", more=True), part(b"", more=True), part(b"you"))

    assert await sent.body() == await sent.body() == b"hello you"


async def test_a_body_that_says_that_it_is_too_long_is_not_received_at_all() -> None:
    sent, left = request(part(b"hello"), length="11")

    with pytest.raises(HTTPException) as refused:
        await sent.body()

    assert refused.value.status_code == 413
    assert len(left) == 1


async def test_a_body_that_turns_out_too_long_is_received_no_further() -> None:
    sent, left = request(*[part(b"four", more=True)] * 4)

    with pytest.raises(HTTPException) as refused:
        await sent.body()

    assert refused.value.status_code == 413
    assert len(left) == 1


async def test_a_client_that_leaves_has_sent_no_body() -> None:
    sent, _ = request(part(b"{", more=True), {"type": "http.disconnect"})

    with pytest.raises(InternalServerException):
        await sent.body()


@pytest.mark.parametrize("length", ["five", "0" * 5000 + "5"])
async def test_a_length_that_is_no_number_or_an_endless_one_is_refused(length: str) -> None:
    sent, _ = request(part(b"hello"), length=length)

    with pytest.raises(ClientException):
        await sent.body()
