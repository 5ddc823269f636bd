"""The request that handlers get: its headers, its JSON body, and the unit of work of its user.

Headers and body are read from ASGI. Litestar makes an object of all headers at each look, and a generator for
the body. The unit of work is a plain call: docs/decisions/0005-the-hot-path.md has the figures.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from litestar import Request
from litestar.exceptions import ClientException, HTTPException, InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Empty

from app.api.backpressure import HELD, LARGE_RESPONSES, Full, LargeResponses, Room
from app.domain.errors import AnswersNotTaken, BodiesUnderWay, TooBusy
from app.domain.identity import Principal, UserId
from app.domain.task_list import PAGE_BYTES
from app.domain.task_service import TaskService
from app.domain.unit_of_work import UnitOfWork


def lines(request: Request[Any, Any, Any], name: bytes) -> list[str]:
    """Return every line of a header, by its name in lower case (ASGI: they all are)."""
    headers: Any = request.scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key == name]


def first(request: Request[Any, Any, Any], name: bytes) -> str | None:
    """Return the first line of a header; None where there is none."""
    headers: Any = request.scope["headers"]
    for key, value in headers:
        if key == name:
            decoded: str = value.decode("latin-1")
            return decoded
    return None


LENGTH_DIGITS: Final = 18
SMALL_BODY: Final = 16 * 1024  # bytes; what is larger counts for as long as it is in memory
BODIES_OF_ONE: Final = 8 * 1024 * 1024  # bytes that are in memory at once, of one person
BODIES_OF_ALL: Final = 64 * 1024 * 1024  # bytes that are in memory at once, of all people in a process
BODIES: Final = "bodies"
"""In the application's state: the room for bodies of this process. `app.composition` puts it there."""


class TaskRequest(Request[Principal, None, Any]):
    """A request of somebody's own tasks."""

    async def body(self) -> bytes:
        """Return the whole body. Litestar makes an object of all headers to do so, and a generator.

        Raises:
            RequestEntityTooLarge: it is, or says that it will be.
            InternalServerException: the client left.
            BodiesUnderWay: too much of this person's is on its way here.
            TooBusy: too much of everybody's is.

        """
        if self._body is Empty:
            at_most = self.route_handler.resolve_request_max_body_size() or 0
            announced = first(self, b"content-length") or "0"
            if not announced.isdecimal() or len(announced) > LENGTH_DIGITS:
                raise ClientException
            if int(announced) > at_most:
                raise RequestEntityTooLarge
            self._body = await self._received(at_most)
        return self._body

    async def _received(self, at_most: int) -> bytes:
        parts, length, more = [], 0, True
        while more:
            message: Any = await self.receive()
            if message["type"] != "http.request":
                raise InternalServerException
            parts.append(message.get("body", b""))
            length += len(parts[-1])
            more = message.get("more_body", False)
            if length > at_most:
                raise RequestEntityTooLarge
            if length > SMALL_BODY:
                self._hold(length)
        return b"".join(parts)

    def _hold(self, length: int) -> None:
        """Count the body until the request is answered (`release_body`)."""
        room: Room = self.app.state[BODIES]
        scope: Any = self.scope
        person, more = self.user.user_id, length - scope.get(HELD, 0)
        if full := room.full(person, more):
            raise BodiesUnderWay if full is Full.ONES_OWN else TooBusy
        room.take(person, more)
        scope[HELD] = length


UNIT_OF_WORK_OF: Final = "unit_of_work_of"
"""In the application's state: makes the desk of an owner. `app.composition` puts it there."""


def unit_of_work_of(request: TaskRequest) -> UnitOfWork:
    """Return the desk of whoever the token speaks for, and of nobody else."""
    make: Callable[[UserId], UnitOfWork] = request.app.state[UNIT_OF_WORK_OF]
    return make(request.user.user_id)


def tasks_of(request: TaskRequest) -> TaskService:
    """Return the tasks of whoever the token speaks for."""
    return unit_of_work_of(request).tasks


def check_room_for_response(request: TaskRequest) -> None:
    """Refuse a write whose answer may be large while others wait to be taken: what is done is answered.

    Raises:
        AnswersNotTaken: somebody has no room left for a page.

    """
    large: LargeResponses = request.app.state[LARGE_RESPONSES]
    if isinstance(refusal := large.lack(request.user.user_id, PAGE_BYTES), AnswersNotTaken):
        raise refusal


JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"  # RFC 7396
UTF_8: Final = frozenset({"utf-8", "utf8"})
BODY_TIMEOUT: Final = "body_timeout"
"""The name in a handler's `opt` of the seconds that a whole body may take to come."""


class ContentCodingRefused(HTTPException):
    """The body is compressed. RFC 9110 §12.5.3: `Accept-Encoding` in the answer says what is taken."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    def __init__(self) -> None:
        super().__init__(headers={"accept-encoding": "identity"})


async def json_body(request: TaskRequest, *types: str, optional: bool = False) -> bytes:
    """Return the body, if it is of one of these media types: JSON, where none is given.

    It may be empty. An `optional` body that is empty may have any type: clients send one by habit.

    Raises:
        HTTPException: 415, 413 or 408.

    """
    announced = first(request, b"content-type")
    coding = first(request, b"content-encoding")
    empty = first(request, b"content-length") in (None, "0") and first(request, b"transfer-encoding") is None
    right = empty if announced is None else _is_one_of(types or (JSON,), announced)
    if empty and (optional or (right and coding is None)):
        return b""
    if coding is not None and coding.strip(" 	").lower() != "identity":
        raise ContentCodingRefused
    if not (right or optional):
        raise HTTPException(status_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    body = b"" if empty else await _whole_body(request)
    if body and not right:
        raise HTTPException(status_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    return body


async def _whole_body(request: TaskRequest) -> bytes:
    try:
        async with asyncio.timeout(request.route_handler.opt[BODY_TIMEOUT]):
            return await request.body()
    except TimeoutError as error:  # RFC 9110 §15.5.9: and then the connection closes
        raise HTTPException(
            status_code=HTTPStatus.REQUEST_TIMEOUT, headers={"connection": "close"}
        ) from error
    except InternalServerException as error:  # Litestar's word for a client that left
        raise HTTPException(status_code=HTTPStatus.BAD_REQUEST) from error


def _is_one_of(types: tuple[str, ...], content_type: str) -> bool:
    media_type, *parameters = (part.strip() for part in content_type.lower().split(";"))
    charsets = [name.partition("=")[2].strip('"') for name in parameters if name.startswith("charset=")]
    return media_type in types and set(charsets) <= UTF_8
