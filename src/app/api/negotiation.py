"""Which media types go in and out: JSON, in UTF-8."""

import asyncio
from http import HTTPStatus
from typing import Final

from litestar.exceptions import HTTPException, InternalServerException

from app.api.headers import first
from app.api.requests import TaskRequest

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"  # RFC 7396
BODY_TIMEOUT: Final = "body_timeout"
"""The name in a handler's `opt` of the seconds that a whole body may take to come."""


async def refuse_what_cannot_be_accepted(request: TaskRequest) -> None:
    """Stop a request that wants something else than JSON.

    Raises:
        HTTPException: 406.

    """
    accept = first(request, b"accept")
    if accept is not None and not accepts_json(accept):
        raise HTTPException(status_code=HTTPStatus.NOT_ACCEPTABLE)


async def json_body(request: TaskRequest, *types: str) -> bytes:
    """Return the body, which may be empty, if it is of one of these media types: JSON, where none is said.

    Raises:
        HTTPException: 415, 413 or 408.

    """
    announced = first(request, b"content-type")
    empty = first(request, b"content-length") in (None, "0") and first(request, b"transfer-encoding") is None
    if first(request, b"content-encoding") is not None or not (
        empty if announced is None else _is_one_of(types or (JSON,), announced)
    ):
        raise HTTPException(status_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if empty:
        return b""
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
    """Tell whether JSON may be answered (RFC 9110 §12.5.1): a range that fits, with a weight above 0."""
    for item in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in item.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        if media_range in ("*/*", "application/*", "application/json", "") and weight.strip("0.") != "":
            return True
    return False


def _is_one_of(types: tuple[str, ...], content_type: str) -> bool:
    media_type, *parameters = (part.strip() for part in content_type.lower().split(";"))
    charsets = [name.partition("=")[2].strip('"') for name in parameters if name.startswith("charset=")]
    return media_type in types and set(charsets) <= {"utf-8"}
