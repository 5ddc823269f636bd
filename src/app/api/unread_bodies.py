"""What a client is still sending when it has been refused is read on for a while, and thrown away.

A server that closes while bytes are coming resets the connection (RFC 9112 §9.6), and many clients that are
still writing then report a broken connection and never look at the answer.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from litestar.types import Message, Receive

READ_ON_MAX: Final = 6 * 1024 * 1024  # bytes
READ_ON_FOR: Final = 4  # seconds
KERNELS: Final = 64 * 1024  # bytes; so much of a body the kernel takes, whether or not anybody reads
_DIGITS: Final = len(str(KERNELS))


class IncomingBody:
    """The receiving end of a request whose body is large, or of unknown length."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def __call__(self) -> Message:
        """Return the next part."""
        message: Any = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message  # type: ignore[no-any-return]  # what ASGI says

    async def read_on(self) -> None:
        """Read the rest and throw it away, within bounds of bytes and seconds."""
        read = 0
        try:
            async with asyncio.timeout(READ_ON_FOR):
                while not self._ended and read < READ_ON_MAX:
                    message: Any = await self()
                    read += len(message.get("body", b""))
        except TimeoutError:
            pass


def is_worth_reading_on(scope: Any, headers: dict[bytes, bytes], status: int) -> bool:
    """Tell whether the client may still be sending, and nothing speaks against waiting for it."""
    standing = scope.get("rate_limit")
    return (
        status >= HTTPStatus.BAD_REQUEST
        and status != HTTPStatus.REQUEST_TIMEOUT  # it had its time
        and b"expect" not in headers  # it waits for leave to send (RFC 9110 §10.1.1), and now has its answer
        and not (standing and standing.exceeded)  # of a flood nothing more is read
    )


def incoming(headers: dict[bytes, bytes], receive: Receive) -> IncomingBody | None:
    """Return the receiving end of a body that may be too large for the kernel; None for any other."""
    length = headers.get(b"content-length")
    if length is None:
        return IncomingBody(receive) if b"transfer-encoding" in headers else None
    digits = len(length)
    is_large = digits > _DIGITS or (digits == _DIGITS and length.isdigit() and int(length) > KERNELS)
    return IncomingBody(receive) if is_large else None
