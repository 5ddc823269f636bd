"""Each part of a request takes time in proportion to its length: twice the length, at most three times the time."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, quote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.exceptions import HTTPException

from app import strict_json
from app.api.middleware.client_addresses import parse_address
from app.api.problems import InvalidRequest
from app.api.requests.batch_body import read_batch
from app.api.requests.conditional import read_versions
from app.api.requests.hints import FIELDS, hint
from app.api.requests.request import TaskRequest, accepts, json_body
from app.api.requests.task_bodies import read_move, read_new_task, read_patch, read_update
from app.domain.due import Due
from app.domain.errors import DomainError
from app.domain.task import broken_rules
from app.domain.task_list import Search
from app.domain.text import broken_text_rules
from app.infra.auth.jwt_claims import decode_unverified
from tests.fuzz.effort import effort
from tests.support.requests import task_request

LENGTH = 60_000  # characters of the shorter text
ROUNDS = 4  # calls; the fastest counts
TRIES = 3  # a busy machine may slow one measurement; a cost that grows faster fails each time
NOISE = 0.004  # seconds that a measurement may be off

UNITS = st.one_of(
    st.sampled_from(
        ['"', "\\", "[", "{", '{"a":', "\u0301\u0327", "\ufdfa", "😀", ", ", 'W/"1",', "%", "&", "="]
    ),
    st.text(min_size=1, max_size=4),
)
PIECE = 5_000  # characters of a description within a batch


def read(reader: Callable[[TaskRequest], Awaitable[object]], body: bytes) -> object:
    """Read a whole request with this body, which may have any length."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return parts.pop()

    request = task_request(
        headers=[(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))],
        task_id=str(UUID(int=1)),
        receive=receive,
        body_max=len(body),
    )

    async def call() -> object:
        return await reader(request)

    return asyncio.run(call())


async def read_whole_batch(request: TaskRequest) -> object:
    return await read_batch(request, await json_body(request))


def batch_of(text: str) -> bytes:
    """Return a batch whose descriptions together are the text."""
    pieces = [text[begin : begin + PIECE] for begin in range(0, len(text), PIECE)]
    return json.dumps(
        {
            "operations": [
                {"op": "create", "title": "x", "description": piece, "tags": ["x"]} for piece in pieces
            ]
        }
    ).encode()


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


READERS: dict[str, Callable[[str], object]] = {
    "JSON": lambda text: strict_json.loads(raw(text)),
    "JSON of one string": lambda text: strict_json.loads(json.dumps({"title": text}).encode()),
    "a title": lambda text: list(broken_rules({"title": text})),
    "a description": lambda text: list(broken_rules({"description": text})),
    "a tag": lambda text: list(broken_rules({"tags": [text]})),
    "a text of any length": lambda text: list(
        broken_text_rules("x", text, at_most=10**9, normalized_at_most=10**9)
    ),
    "a search": Search.parse,
    "a due date": Due.parse,
    "If-Match": read_versions,
    "Accept": accepts,
    "a query": lambda text: parse_qsl(quote(text[::4], safe="&=%", errors="replace"), keep_blank_values=True),
    "a token": decode_unverified,
    "an address": parse_address,
    "a creation": lambda text: read(read_new_task, raw(text)),
    "a creation's title": lambda text: read(read_new_task, json.dumps({"title": text}).encode()),
    "a PUT": lambda text: read(read_update, raw(text)),
    "a PUT of what is ignored": lambda text: read(read_update, json.dumps({"position": [text]}).encode()),
    "a PATCH": lambda text: read(read_patch, raw(text)),
    "a PATCH's tags": lambda text: read(read_patch, json.dumps({"tags": [text[:PIECE]] * 99}).encode()),
    "a move": lambda text: read(read_move, raw(text)),
    "a move's neighbour": lambda text: read(read_move, json.dumps({"before": text}).encode()),
    "a batch": lambda text: read(read_whole_batch, batch_of(text)),
    "a batch that is not JSON": lambda text: read(read_whole_batch, raw(text)),
    "the name of a member": lambda text: hint(text, FIELDS, FIELDS),
}


def cost(reader: Callable[[str], object], text: str) -> float:
    """Return the CPU seconds of the fastest of several calls."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        with suppress(ValueError, DomainError, InvalidRequest, HTTPException):  # refusals
            reader(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize("name", READERS)
@effort(12)
@given(unit=UNITS)
def test_twice_the_length_costs_at_most_three_times_the_time(name: str, unit: str) -> None:
    text = unit * (LENGTH // len(unit))
    measured = []

    for _ in range(TRIES):
        once, twice = cost(READERS[name], text), cost(READERS[name], text * 2)
        measured.append((once, twice))
        if twice <= 3 * once + NOISE:
            return

    pytest.fail(f"seconds for the text, and for twice the text: {measured}")
