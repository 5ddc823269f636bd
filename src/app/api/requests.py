"""The request that handlers are given: Litestar's, of a principal, with a body that costs less to read."""

from typing import Any, Final

from litestar import Request
from litestar.exceptions import ClientException, InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Empty

from app.api.headers import first
from app.domain.identity import Principal

LENGTH_DIGITS: Final = 18


class TaskRequest(Request[Principal, None, Any]):
    """A request of somebody's own tasks."""

    async def body(self) -> bytes:
        """Return the whole body. Litestar makes an object of all headers to do so, and a generator.

        Raises:
            RequestEntityTooLarge: it is, or says that it will be.
            InternalServerException: the client left.

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
        return b"".join(parts)
