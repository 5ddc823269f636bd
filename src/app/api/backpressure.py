"""Backpressure: limits on large bodies and responses in memory, and draining of refused bodies.

- `ByteBudget` counts bytes in memory, for one person and in total.
- A response stays in memory until the kernel takes it. The kernel keeps a limited number of unread bytes of a
  connection (`SEND_BUFFER` of `app.cli.main_process`). So a large response counts while it is sent. Small
  ones do not count: granian keeps only a few of them for each connection.
- A client may still be sending its body after the response, whatever the status is. If the server closes the
  connection now, TCP resets it (RFC 9112 §9.6). Many clients then report a broken connection and never read
  the response. So the rest of the body is read for a while, and dropped.
"""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

from litestar.types import HTTPResponseBodyEvent, Message, Receive, Send

from app.domain.errors import TooBusy, TooManyBodies, TooManyUnreadResponses

Refusal: TypeAlias = TooBusy | TooManyBodies | TooManyUnreadResponses


class ByteBudget:
    """Counts bytes in memory by person, with a limit for one person and one for all people together."""

    def __init__(self, *, of_one: int, of_all: int, too_many_of_one: type[Refusal] = TooManyBodies) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._too_many_of_one = too_many_of_one
        self._bytes: dict[str, int] = {}
        self._total = 0

    def refusal_for(self, person: str, size: int) -> Refusal | None:
        """Return the error of the limit that `size` more bytes would exceed; None if they fit."""
        if self._bytes.get(person, 0) + size > self._of_one:
            return self._too_many_of_one()
        return TooBusy() if self._total + size > self._of_all else None

    def take(self, person: str, size: int) -> None:
        """Count bytes, even beyond the limits."""
        self._total += size
        self._bytes[person] = self._bytes.get(person, 0) + size

    def release(self, person: str, size: int) -> None:
        """Stop counting bytes that `take` counted."""
        self._total -= size
        self._bytes[person] -= size
        if not self._bytes[person]:
            del self._bytes[person]


TURN_TIMEOUT: Final = 10.0  # seconds that a large body may wait until it is worked on
IN_PROGRESS_MAX: Final = 8 * 1024 * 1024  # bytes of large bodies in progress, of all people together


EndTurn: TypeAlias = Callable[[], None]


class LargeBodies:
    """Limits the large bodies in progress, from parsing to the response: one of each person at a time.

    The database would run a person's transactions one after the other anyway. Here bodies wait without a
    connection, and each person has at most one place in the queue of `app.event_loop`.

    A body in progress takes eight times its size in memory. So the bodies of all people have a limit. The
    smallest one that waits goes first: it does not wait behind large batches.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._free = IN_PROGRESS_MAX
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap of (size, arrival, turn)
        self._arrivals = count()

    async def wait_for_turn(self, person: str, size: int) -> EndTurn:
        """Wait until a body of this size may be worked on. Return a function to call when that is done.

        Raises:
            TooManyBodies: the person's earlier bodies took too long.
            TooBusy: the bodies of other people took too long.
        """
        lock = self._locks.get(person)
        if lock is None:
            lock = self._locks[person] = asyncio.Lock()
        has_lock = False
        try:
            async with asyncio.timeout(TURN_TIMEOUT):
                has_lock = await lock.acquire()
                await self._take(size)
        except BaseException as error:
            if has_lock:
                lock.release()
            if isinstance(error, TimeoutError):
                raise (TooBusy if has_lock else TooManyBodies) from None
            raise

        def end() -> None:
            lock.release()
            self._free_bytes(size)

        return end

    async def _take(self, size: int) -> None:
        if size <= self._free:
            self._free -= size
            return
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (size, next(self._arrivals), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn came at the same time as the cancellation
                self._free_bytes(size)
            raise

    def _free_bytes(self, size: int) -> None:
        """Stop counting a body, and start the smallest waiting ones that fit."""
        self._free += size
        while self._waiting and self._waiting[0][0] <= self._free:  # the smallest size
            size, _, turn = heappop(self._waiting)
            if not turn.done():
                self._free -= size
                turn.set_result(None)


LARGE_RESPONSE: Final = 32 * 1024  # bytes; only larger responses count. A list of 50 tasks is half as large
PERSON_UNREAD_MAX: Final = 4 * 1024 * 1024  # bytes of responses that one person's clients have not read yet
UNREAD_MAX: Final = 64 * 1024 * 1024  # the same, of all people
ADDRESS_UNREAD_MAX: Final = 4 * 1024 * 1024  # the same, of one address, for responses without a user
PUBLIC_UNREAD_MAX: Final = 16 * 1024 * 1024  # the same, of all addresses
PIECE: Final = 64 * 1024  # bytes
GRANIAN_QUEUE: Final = 4  # pieces that granian queues before `send` waits


class LargeResponses:
    """Large responses that this process is sending."""

    def __init__(self) -> None:
        error = TooManyUnreadResponses
        self._people = ByteBudget(of_one=PERSON_UNREAD_MAX, of_all=UNREAD_MAX, too_many_of_one=error)
        self._public = ByteBudget(of_one=ADDRESS_UNREAD_MAX, of_all=PUBLIC_UNREAD_MAX, too_many_of_one=error)

    def refusal_for(self, reader: str, size: int, *, public: bool = False) -> Refusal | None:
        """Return the error of the limit that a response of this size would exceed; None: it may be sent.

        The reader is a person, or an address if the response is public.
        """
        budget, size = self._budget_for(size, public=public)
        return budget.refusal_for(reader, size)

    async def send(self, send: Send, start: Message, body: bytes, reader: str, *, public: bool) -> None:
        """Send a response, and count it until the kernel has taken nearly all of it.

        The last bytes are sent one by one, in more pieces than granian queues. So once the last byte is in
        the queue, at least one of these bytes has left it, and so has everything before it.
        """
        budget, size = self._budget_for(len(body), public=public)
        budget.take(reader, size)
        try:
            await send(start)
            single_bytes_at = len(body) - GRANIAN_QUEUE - 1
            for begin in range(0, single_bytes_at, PIECE):
                await send(body_event(body[begin : min(begin + PIECE, single_bytes_at)]))
            for index in range(single_bytes_at, len(body)):
                await send(body_event(body[index : index + 1]))
            await send(body_event(b"", more=False))
        finally:
            budget.release(reader, size)

    def _budget_for(self, size: int, *, public: bool) -> tuple[ByteBudget, int]:
        """Return the budget of a response and the bytes to count.

        All readers of a public response share its bytes. So only the bytes in the queue of granian count.
        """
        return (self._public, min(size, (GRANIAN_QUEUE + 1) * PIECE)) if public else (self._people, size)


def body_event(body: bytes, *, more: bool = True) -> HTTPResponseBodyEvent:
    """Return the ASGI message with a piece of a body."""
    return {"type": "http.response.body", "body": body, "more_body": more}


READ_ON_MAX: Final = 6 * 1024 * 1024  # bytes of the rest of a body that are read and dropped
READ_ON_FOR: Final = 4  # seconds in which the rest of a body is read
READ_ON_AFTER_408: Final = 1  # the same after 408: the body has already had its time
READ_ON_AT_ONCE: Final = 256  # bodies that a process drains; connections of further ones close at once
KERNEL_BUFFERS: Final = 64 * 1024  # bytes of a body that the kernel takes even if nobody reads them


class IncomingBody:
    """An ASGI `receive` for a body that is large or of unknown length. It can drain the rest of the body."""

    draining = 0  # bodies that this process is draining

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def __call__(self) -> Message:
        """Return the next ASGI message."""
        message: Any = await self._receive()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message  # type: ignore[no-any-return]  # ASGI's `receive` returns a message

    async def read_on(self, seconds: float = READ_ON_FOR) -> None:
        """Read the rest of the body and drop it: at most READ_ON_MAX bytes, for at most `seconds`."""
        if IncomingBody.draining >= READ_ON_AT_ONCE:
            return
        read = 0
        IncomingBody.draining += 1
        try:
            async with asyncio.timeout(seconds):
                while not self._ended and read < READ_ON_MAX:
                    message: Any = await self()
                    read += len(message.get("body", b""))
        except TimeoutError:
            pass
        finally:
            IncomingBody.draining -= 1
