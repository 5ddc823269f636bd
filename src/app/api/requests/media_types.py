"""Which media types go in and out: JSON, in UTF-8."""

import asyncio
from http import HTTPStatus
from typing import Final

from litestar.exceptions import HTTPException, InternalServerException

from app.api.headers import first, lines
from app.api.requests.request import TaskRequest

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"  # RFC 7396
PROBLEM: Final = "application/problem+json"  # RFC 9457; a client that takes it takes our answers
UTF_8: Final = frozenset({"utf-8", "utf8"})
BODY_TIMEOUT: Final = "body_timeout"
"""The name in a handler's `opt` of the seconds that a whole body may take to come."""


class ContentCodingRefused(HTTPException):
    """The body is compressed. RFC 9110 §12.5.3: `Accept-Encoding` in the answer says what is taken."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    def __init__(self) -> None:
        super().__init__(headers={"accept-encoding": "identity"})


async def refuse_what_cannot_be_accepted(request: TaskRequest) -> None:
    """Stop a request that wants something else than JSON.

    Raises:
        HTTPException: 406.

    """
    accept = lines(request, b"accept")
    if accept and not accepts_json(", ".join(accept)):
        raise HTTPException(status_code=HTTPStatus.NOT_ACCEPTABLE)


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


def accepts_json(accept: str) -> bool:
    """Tell whether JSON may be answered (RFC 9110 §12.5.1): the most specific range that fits decides.

    A client that names our type of problems takes our answers too: generated clients name it alone where an
    operation answers nothing but problems.
    """
    weights: dict[str, bool] = {}
    for item in accept.lower().split(","):
        media_range, *parameters = (part.strip(" \t") for part in item.split(";"))
        weight = next((p.partition("=")[2] for p in parameters if p.startswith("q=")), "1")
        weights[media_range] = weights.get(media_range, False) or weight.strip("0.") != ""
    if not weights.keys() - {""} or weights.get(PROBLEM):
        return True
    ranges = (JSON, "application/*", "*/*")
    return next((weights[media_range] for media_range in ranges if media_range in weights), False)


def _is_one_of(types: tuple[str, ...], content_type: str) -> bool:
    media_type, *parameters = (part.strip() for part in content_type.lower().split(";"))
    charsets = [name.partition("=")[2].strip('"') for name in parameters if name.startswith("charset=")]
    return media_type in types and set(charsets) <= UTF_8
