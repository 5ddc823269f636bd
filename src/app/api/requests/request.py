"""The request that handlers are given: Litestar's, of a principal, with a body that costs less to read."""

from typing import Any, Final

from litestar import Request
from litestar.exceptions import ClientException, InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Empty

from app.api.headers import first
from app.api.room import Full, Room
from app.domain.errors import BodiesUnderWay, TooBusy
from app.domain.identity import Principal

LENGTH_DIGITS: Final = 18
SMALL_BODY: Final = 16 * 1024  # bytes; what is larger counts for as long as it is in memory
BODIES_OF_ONE: Final = 8 * 1024 * 1024  # bytes that are in memory at once, of one person
BODIES_OF_ALL: Final = 64 * 1024 * 1024  # bytes that are in memory at once, of all people in a process
BODIES: Final = "bodies"
"""In the application's state: the room for bodies of this process. `app.composition` puts it there."""

HELD: Final = "held_body"
"""In a request's scope: how many bytes of its body count."""


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


def release_body(scope: Any, room: Room) -> None:
    """Count a request's body no more, now that it is answered."""
    if HELD in scope:
        room.give_back(scope["user"].user_id, scope[HELD])
