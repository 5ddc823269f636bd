"""The request that handlers get: its context, its JSON body, and the media types of requests and responses.

The body is read from ASGI directly. Litestar would build an object of all headers and a generator for the
body, which costs time.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from litestar import Request
from litestar.exceptions import ClientException, HTTPException, InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Empty, Receive, Scope, Send

from app.api.context import context_of
from app.domain.errors import TooManyUnreadResponses
from app.domain.task_list import PAGE_BYTES
from app.event_loop import SMALL_REQUESTS, TimeSlice
from app.quoting import quote

LENGTH_DIGITS_MAX: Final = 18  # digits of Content-Length: far more than any limit of bytes has
SMALL_BODY_MAX: Final = 16 * 1024
"""Bytes. A larger body counts towards BODIES_OF_ONE and BODIES_OF_ALL until its request is answered."""
CHEAP_BODY_MAX: Final = 2 * 1024
"""Bytes. A larger body takes milliseconds if it is a batch, or if text that is not ASCII must be prepared
for searches.
"""
HEADER_MAX: Final = 1024  # characters of `Accept` and of `Content-Type`
BODIES_OF_ONE: Final = 8 * 1024 * 1024  # bytes that are in memory at once, of one person
BODIES_OF_ALL: Final = 64 * 1024 * 1024  # bytes that are in memory at once, of all people in a process


class TaskRequest(Request[Any, Any, Any]):
    """A request to the tasks of its user."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.context = context_of(scope)

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            ClientException: Content-Length is not a number.
            RequestEntityTooLarge: the body or its Content-Length exceeds the limit.
            InternalServerException: the client disconnected.
            TooManyBodies: this person's bodies in memory exceed their limit.
            TooBusy: all bodies in memory exceed their limit.
        """
        if self._body is Empty:
            limit = self.route_handler.resolve_request_max_body_size() or 0
            content_length = self.context.first_line(b"content-length") or "0"
            if not content_length.isdecimal() or len(content_length) > LENGTH_DIGITS_MAX:
                raise ClientException
            if int(content_length) > limit:
                raise RequestEntityTooLarge
            self._body = await self._receive_whole(limit)
        return self._body

    async def _receive_whole(self, limit: int) -> bytes:
        parts, length, more = [], 0, True
        while more:
            message: Any = await self.receive()
            if message["type"] != "http.request":
                raise InternalServerException
            parts.append(message.get("body", b""))
            length += len(parts[-1])
            more = message.get("more_body", False)
            if length > limit:
                raise RequestEntityTooLarge
            if length > SMALL_BODY_MAX:
                self.count_large_body(length)
        return b"".join(parts)

    def count_large_body(self, length: int) -> None:
        """Count the body as a large one until the request is answered (`middleware/outermost.py`)."""
        context, bodies = self.context, self.context.app.bodies
        more = length - context.counted_bytes
        if refusal := bodies.refusal_for(context.user_id, more):
            raise refusal
        bodies.take(context.user_id, more)
        if not context.counted_bytes:  # from now on it is a large request
            SMALL_REQUESTS.count -= 1
        context.counted_bytes = length


def check_room_for_response(request: TaskRequest) -> None:
    """Refuse a write before it runs if its response may be large and earlier responses are unread.

    Once the write is done, its response is always sent. If only other people have unread responses, the write
    is not refused.

    Raises:
        TooManyUnreadResponses: the user's unread responses leave no room for a response of PAGE_BYTES.
    """
    refusal = request.context.app.large_responses.refusal_for(request.context.user_id, PAGE_BYTES)
    if isinstance(refusal, TooManyUnreadResponses):
        raise refusal


JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
PROBLEM_JSON: Final = (
    "application/problem+json"  # RFC 9457; a client that accepts it never gets 406: see `accepts`
)
MERGE_PATCH: Final = "application/merge-patch+json"  # RFC 7396
UTF_8: Final = frozenset({"utf-8", "utf8"})


class EventsNotAccepted(HTTPException):
    """The client does not accept an event stream."""

    status_code = HTTPStatus.NOT_ACCEPTABLE


class ContentCodingRefused(HTTPException):
    """The body is compressed. `Accept-Encoding` in the response lists what is accepted (RFC 9110 §12.5.3)."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    def __init__(self) -> None:
        super().__init__(headers={"accept-encoding": "identity"})


class TransferCodingRefused(HTTPException):
    """The body has another transfer coding than `chunked`, so what arrives is not JSON (RFC 9112 §6.1)."""

    status_code = HTTPStatus.BAD_REQUEST


class MediaTypeRefused(HTTPException):
    """The body has another media type than the operation accepts, another charset than UTF-8, or no type."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    def __init__(self, sent: str | None, accepted: Sequence[str]) -> None:
        was = "The body has no `Content-Type`." if sent is None else f"The body was sent as `{quote(sent)}`."
        types = " or ".join(f"`{media_type}`" for media_type in accepted)
        super().__init__(detail=f"{was} Send it as {types}, in UTF-8.")


async def json_body(
    request: TaskRequest, *types: str, ignore_type_if_empty: bool = False, is_batch: bool = False
) -> bytes:
    """Return the body if its media type is one of `types` (default: JSON). A large body waits for its turn.

    The body may be empty.

    `ignore_type_if_empty`: an empty body may have any `Content-Type`, because some clients always send one.
    `is_batch`: the body has many operations, so even a small one takes long.

    Raises:
        HTTPException: 400, 408, 413 or 415.
        TooManyBodies, TooBusy: as in `TaskRequest.body`.
    """
    context = request.context
    content_type, coding = context.first_line(b"content-type"), context.first_line(b"content-encoding")
    headers = context.headers
    transfer = headers.get(b"transfer-encoding")
    if transfer is not None and transfer.lower() != b"chunked":
        raise TransferCodingRefused
    is_empty = transfer is None and headers.get(b"content-length", b"0") == b"0"
    accepted = types or (JSON,)
    is_accepted = is_empty if content_type is None else _is_one_of(accepted, content_type)
    if is_empty and (ignore_type_if_empty or (is_accepted and coding is None)):
        return b""
    if coding is not None and coding.strip(" \t").lower() != "identity":
        raise ContentCodingRefused
    if not (is_accepted or ignore_type_if_empty):
        raise MediaTypeRefused(content_type, accepted)
    body = b"" if is_empty else await _whole_body(request, is_batch=is_batch)
    if body and not is_accepted:
        raise MediaTypeRefused(content_type, accepted)
    return body


async def _whole_body(request: TaskRequest, *, is_batch: bool) -> bytes:
    context = request.context
    try:
        async with asyncio.timeout(context.app.body_timeout):
            body = await request.body()
    except TimeoutError as error:  # RFC 9110 §15.5.9: close the connection too
        raise HTTPException(
            status_code=HTTPStatus.REQUEST_TIMEOUT, headers={"connection": "close"}
        ) from error
    except InternalServerException as error:  # `body` raises it when the client has disconnected
        raise HTTPException(status_code=HTTPStatus.BAD_REQUEST) from error
    if (
        len(body) > CHEAP_BODY_MAX
        and not context.counted_bytes
        and (is_batch or b"\\u" in body or not body.isascii())
    ):
        request.count_large_body(len(body))
    if context.counted_bytes:
        context.turn = await context.app.large_bodies.wait_for_turn(context.user_id, len(body))
        await TimeSlice().wait()  # until the event loop is free for the validation
    return body


def _is_one_of(types: tuple[str, ...], content_type: str) -> bool:
    if content_type in types:  # as nearly every client writes it
        return True
    if len(content_type) > HEADER_MAX:
        return False
    media_type, *parameters = (part.strip() for part in content_type.lower().split(";"))
    charsets = [name.partition("=")[2].strip('"') for name in parameters if name.startswith("charset=")]
    return media_type in types and set(charsets) <= UTF_8


def accepts(accept: str, media_type: str = JSON) -> bool:
    """Return whether `Accept` allows a media type (RFC 9110 §12.5.1). The most specific range decides.

    A client that accepts `application/problem+json` accepts every response. Generated clients send only that
    type for an operation whose only responses with a body are problems.
    """
    if accept in ("*/*", media_type):  # as nearly every client writes it
        return True
    if len(accept) > HEADER_MAX:
        return False
    allowed: dict[str, bool] = {}
    for item in accept.lower().split(","):
        media_range, *parameters = (part.strip(" \t") for part in item.split(";"))
        weight = next((each.partition("=")[2] for each in parameters if each.startswith("q=")), "1")
        allowed[media_range] = allowed.get(media_range, False) or weight.strip("0.") != ""  # 0: refused
    if not allowed.keys() - {""} or allowed.get(PROBLEM_JSON):
        return True
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((allowed[media_range] for media_range in ranges if media_range in allowed), False)


async def check_accept(request: TaskRequest) -> None:
    """Refuse a request that does not accept JSON, with 406."""
    accept = request.context.lines(b"accept")
    if accept and not accepts(", ".join(accept)):
        raise HTTPException(status_code=HTTPStatus.NOT_ACCEPTABLE)


async def check_accept_events(request: TaskRequest) -> None:
    """Refuse a request that does not accept an event stream, with 406."""
    accept = request.context.lines(b"accept")
    if accept and not accepts(", ".join(accept), EVENT_STREAM):
        raise EventsNotAccepted
