"""Which pages may ask (the Fetch standard's CORS protocol). Tokens travel in a header, never in a cookie."""

from collections.abc import Iterable
from typing import Final

Headers = list[tuple[bytes, bytes]]

EXPOSED: Final = (
    b"Link, ETag, Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-ID"
)
ALLOWED_HEADERS: Final = (
    b"Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-ID,"
    b" traceparent, tracestate"
)
PREFLIGHT_LIFETIME: Final = b"600"  # seconds
VARY: Final = (b"vary", b"Origin")


class Cors:
    """The answers to `Origin`, made once."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._allowed = {
            origin.encode(): [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-allow-credentials", b"true"),  # fetch's `credentials: "include"`
                (b"access-control-expose-headers", EXPOSED),
                VARY,
            ]
            for origin in origins
        }
        self._others: Headers = [VARY] if self._allowed else []

    def headers(self, origin: bytes | None) -> Headers:
        """Return what every answer says; a page of another origin is not told that it may read it."""
        return self._allowed.get(origin, self._others) if origin is not None else self._others

    def preflight(self, origin: bytes, methods: str) -> Headers:
        """Return what the answer to a preflight says besides."""
        if origin not in self._allowed:
            return []
        return [
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", ALLOWED_HEADERS),
            (b"access-control-max-age", PREFLIGHT_LIFETIME),
        ]
