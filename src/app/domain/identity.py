"""The identity of the caller."""

from typing import NewType, Protocol

UserId = NewType("UserId", str)
"""A verified subject: opaque, 1 to 255 characters, no control character or lone surrogate.

Only a `TokenVerifier` (and tests) may create a `UserId`.
"""


class TokenVerifier(Protocol):
    """Verifies bearer tokens."""

    async def verify(self, token: str) -> UserId:
        """Return the user of a token.

        Raises:
            NotAuthenticated: malformed, forged, expired, or meant for someone else.
            KeysUnavailable: there is no key to verify it with now.
        """
