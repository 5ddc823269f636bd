"""Who is asking."""

from dataclasses import dataclass
from typing import NewType, Protocol

UserId = NewType("UserId", str)
"""A verified subject: opaque, 1 to 255 characters, no control characters.

Only a `TokenVerifier` (and tests) may mint one.
"""


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller of one request."""

    user_id: UserId


class TokenVerifier(Protocol):
    """Turns a bearer token into the person it speaks for."""

    async def verify(self, token: str) -> Principal:
        """Return who the token speaks for.

        Raises:
            NotAuthenticated: malformed, forged, expired, or meant for someone else.
            KeysUnavailable: there is no key to judge it with just now.

        """
        ...
