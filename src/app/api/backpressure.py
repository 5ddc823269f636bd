"""Bytes that wait in this process: large request bodies, large responses, and bodies that were refused.

- `Room` counts waiting bytes, for one person and in total.
- A response that is too large for the kernel stays in memory until its reader has taken it, so it counts
  for as long as it is on its way. The kernel takes small responses at once (`app.send_buffers`): no count.
- A refused request may still be sending. A server that closes then resets the connection (RFC 9112 §9.6),
  and many clients report a broken connection and never read the response. So the rest is read for a while,
  and dropped.
"""

import asyncio
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final

from litestar.types import HTTPResponseBodyEvent, Message, Receive, Send

from app.domain.errors import AnswersNotTaken, TooBusy

HELD: Final = "held_body"
"""In a request's scope: how many bytes of its body count."""


class Full(Enum):
    """Whose room is full."""

    ONES_OWN = auto()
    EVERYBODYS = auto()


class Room:
    """Bytes that wait, by person."""

    def __init__(self, *, of_one: int, of_all: int) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._waiting: dict[str, int] = {}
        self._total = 0

    def full(self, person: str, size: int) -> Full | None:
        """Tell why so many bytes more may not wait; None if they may."""
        if self._waiting.get(person, 0) + size > self._of_one:
            return Full.ONES_OWN
        return Full.EVERYBODYS if self._total + size > self._of_all else None

    def take(self, person: str, size: int) -> None:
        """Count bytes, whether there is room or not."""
        self._total += size
        self._waiting[person] = self._waiting.get(person, 0) + size

    def release(self, person: str, size: int) -> None:
        """Count bytes no more."""
        self._total -= size
        self._waiting[person] -= size
        if not self._waiting[person]:
            del self._waiting[person]


LARGE: Final = 128 * 1024  # bytes; up to here the kernel takes an answer at once
PERSON_MAX: Final = 4 * 1024 * 1024  # bytes that wait to be taken
PROCESS_MAX: Final = 64 * 1024 * 1024  # bytes that wait to be taken, of all people
STRANGERS_MAX: Final = 16 * 1024 * 1024  # bytes that wait to be taken, of all who need not sign in
STRANGERS: Final = ""  # no person has this name
LARGE_RESPONSES: Final = "large_answers"
"""In the application's state: those of this process. `app.composition` puts it there."""

PIECE: Final = 64 * 1024  # bytes
QUEUE: Final = 4  # pieces that granian takes before it lets a sender wait
_DIGITS: Final = len(str(LARGE))


def is_large(start: Message) -> bool:
    """Tell by the head of an answer whether its body is large."""
    for name, value in start["headers"]:  # type: ignore[typeddict-item]  # the head of an answer has them
        if name == b"content-length":
            return len(value) >= _DIGITS and int(value) > LARGE
    return False


class LargeResponses:
    """Those that are on their way out of this process."""

    def __init__(self) -> None:
        self._people = Room(of_one=PERSON_MAX, of_all=PROCESS_MAX)
        self._strangers = Room(of_one=STRANGERS_MAX, of_all=STRANGERS_MAX)

    def refusal(self, scope: Any, size: int) -> AnswersNotTaken | TooBusy | None:
        """Return why an answer of this size must not be sent now, or None; what wrote is always answered."""
        return self.lack(person_of(scope), size) if scope["method"] == "GET" else None

    def lack(self, person: str, size: int) -> AnswersNotTaken | TooBusy | None:
        """Return why there is no room for an answer of this size, or None."""
        full = self._room_of(person).full(person, size)
        if full is None:
            return None
        return AnswersNotTaken() if full is Full.ONES_OWN and person != STRANGERS else TooBusy()

    async def send(self, send: Send, start: Message, body: bytes, person: str) -> None:
        """Send an answer, and count it until the kernel has taken nearly all of it.

        The last bytes go one by one, more of them than granian queues: when the last is queued, the first has
        left the queue, and all before it with it.
        """
        room = self._room_of(person)
        room.take(person, len(body))
        try:
            await send(start)
            whole = len(body) - QUEUE - 1
            for begin in range(0, whole, PIECE):
                await send(_piece(body[begin : min(begin + PIECE, whole)]))
            for place in range(whole, len(body)):
                await send(_piece(body[place : place + 1]))
            await send(_piece(b"", more=False))
        finally:
            room.release(person, len(body))

    def _room_of(self, person: str) -> Room:
        return self._strangers if person == STRANGERS else self._people


def person_of(scope: Any) -> str:
    """Return who is answered."""
    principal = scope.get("user")
    return STRANGERS if principal is None else principal.user_id


def _piece(body: bytes, *, more: bool = True) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": body, "more_body": more}


READ_ON_MAX: Final = 6 * 1024 * 1024  # bytes
READ_ON_FOR: Final = 4  # seconds
KERNELS: Final = 64 * 1024  # bytes; so much of a body the kernel takes, whether or not anybody reads
_KERNEL_DIGITS: Final = len(str(KERNELS))


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
    is_large = digits > _KERNEL_DIGITS or (
        digits == _KERNEL_DIGITS and length.isdigit() and int(length) > KERNELS
    )
    return IncomingBody(receive) if is_large else None


def release_body(scope: Any, room: Room) -> None:
    """Count a request's body no more, now that it is answered."""
    if HELD in scope:
        room.release(scope["user"].user_id, scope[HELD])
