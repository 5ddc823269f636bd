"""Authentication: a request needs a valid token, and its path must name the token's user."""

from collections.abc import Sequence
from typing import Final

from litestar.types import ASGIApp, Receive, Scope, Send

from app.api.context import add_route
from app.api.responses import PublicRoute
from app.domain.errors import Mistake, NotAuthenticated, NotYours, TooManyRequests
from app.domain.identity import TokenVerifier
from app.domain.rate_limit import RateLimit

ME: Final = "me"
"""In a path, the user id of the token."""

PLACEHOLDERS: Final = ("undefined", "null", "None")
"""What JavaScript and Python write in the place of a token that is absent."""


class AuthenticationMiddleware:
    """Verifies the token in `Authorization: Bearer …`, and compares its user with the path's owner.

    The user is known here, so the rate limit per person is applied here too.
    """

    def __init__(self, app: ASGIApp, verifier: TokenVerifier, limit: RateLimit | None) -> None:
        self._app = app
        self._verifier = verifier
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the user in the context and call the application.

        Raises:
            NotAuthenticated: no bearer token, or an invalid one.
            KeysUnavailable: there is no key to verify it with.
            NotYours: the path's `user_id` is neither the token's nor `me`.
            TooManyRequests: the person's rate limit is exceeded.
        """
        context, handler, parameters = add_route(scope)
        if not isinstance(handler, PublicRoute):
            token = bearer_token(context.lines(b"authorization"))
            try:
                context.user = user = await self._verifier.verify(token)
            except NotAuthenticated as error:
                if token[:7].lower() != "bearer ":
                    raise
                raise NotAuthenticated("the word Bearer is there twice", Mistake.BEARER_TWICE) from error
            if parameters.get("user_id", ME) not in (ME, user):
                raise NotYours
            if self._limit is not None:
                quota = await self._limit.count_request(user)
                context.rate_limit = quota
                if quota.exceeded:
                    raise TooManyRequests(quota.reset)
        await self._app(scope, receive, send)


def bearer_token(authorization: Sequence[str]) -> str:
    """Return the bearer token (RFC 6750 §2.1). The scheme is case-insensitive (RFC 9110 §11.1).

    `authorization` has the lines of the header.

    Raises:
        NotAuthenticated: there is no bearer token, or more than one `Authorization` header.
    """
    if len(authorization) != 1:
        if authorization:
            raise NotAuthenticated("more than one Authorization header", Mistake.NO_BEARER)
        raise NotAuthenticated("no Authorization header", Mistake.NO_HEADER)
    scheme, _, token = authorization[0].partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise NotAuthenticated("the Authorization header holds no bearer token", Mistake.NO_BEARER)
    if token in PLACEHOLDERS:
        raise NotAuthenticated("the token is a placeholder", Mistake.PLACEHOLDER)
    return token
