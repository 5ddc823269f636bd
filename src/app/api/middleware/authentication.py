"""Every request has a principal who asks for their own, or never reaches a controller."""

from collections.abc import Iterable
from typing import Final

from litestar.types import ASGIApp, Receive, Scope, Send

from app.domain.errors import Mistake, NotAuthenticated, NotYours, TooManyRequests
from app.domain.identity import TokenVerifier
from app.domain.rate_limit import RateLimit

ME: Final = "me"
"""Stands for the principal's own user id in a path."""


class AuthenticationMiddleware:
    """Reads `Authorization: Bearer …`, asks the verifier whose it is, and compares the path's owner.

    From here on somebody asks, so here each person's requests are counted.
    """

    def __init__(self, app: ASGIApp, verifier: TokenVerifier, limit: RateLimit | None) -> None:
        self._app = app
        self._verifier = verifier
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the principal in.

        Raises:
            NotAuthenticated: no bearer token, or not one we believe.
            KeysUnavailable: there is no key to judge it with.
            NotYours: the path's `user_id` is neither the principal's nor `me`.
            TooManyRequests: the principal asks too often.

        """
        if not scope["route_handler"].opt.get("public"):
            principal = await self._verifier.verify(bearer_token(scope["headers"]))
            scope["user"], scope["auth"] = principal, None
            if scope["path_params"].get("user_id", ME) not in (ME, principal.user_id):
                raise NotYours
            if self._limit is not None:
                standing = await self._limit.standing(principal.user_id)
                scope["rate_limit"] = standing  # type: ignore[typeddict-unknown-key]  # for the edge to tell
                if standing.exceeded:
                    raise TooManyRequests(standing.reset)
        await self._app(scope, receive, send)


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the token of RFC 6750 §2.1; the scheme's case does not matter (RFC 9110 §11.1).

    Raises:
        NotAuthenticated: there is none, or more than one `Authorization`.

    """
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1:
        if given:
            raise NotAuthenticated("more than one Authorization header", Mistake.NO_BEARER)
        raise NotAuthenticated("no Authorization header", Mistake.NO_HEADER)
    scheme, _, token = given[0].partition(b" ")
    token = token.strip(b" ")
    if scheme.lower() != b"bearer" or not token or not token.isascii():
        raise NotAuthenticated("the Authorization header holds no bearer token", Mistake.NO_BEARER)
    return token.decode("ascii")
