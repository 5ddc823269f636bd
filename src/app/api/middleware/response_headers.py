"""Headers of responses: security, CORS, and rate limits where requests are counted.

Security headers follow OWASP's REST Security Cheat Sheet, in few bytes. Responses of the API are JSON:
browsers must not run, frame or sniff them. `frame-ancestors` replaces `X-Frame-Options`. `Permissions-Policy`
and `Referrer-Policy` concern pages only. CORS follows the Fetch standard. Tokens are sent in a header, never
in a cookie. Rate limits follow draft-ietf-httpapi-ratelimit-headers.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import structlog

from app.api.docs import POLICY
from app.domain.rate_limit import Policy, QuotaState

Headers = list[tuple[bytes, bytes]]

PROBLEMS_PATH: Final = "/problems"
"""The base of a problem's `type`, unless PROBLEM_BASE_URL sets another."""

PAGE_PATHS: Final = ("/docs", PROBLEMS_PATH)
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
API_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
PAGE_POLICY: Final = (b"content-security-policy", POLICY.encode())
HSTS: Final = (b"strict-transport-security", b"max-age=63072000")  # seconds: two years


def security_headers(path: str, *, secure: bool) -> Headers:
    """Return the security headers. HSTS is sent over TLS only (RFC 6797 §7.2)."""
    policy = PAGE_POLICY if path.startswith(PAGE_PATHS) else API_POLICY
    return [NOSNIFF, policy, HSTS] if secure else [NOSNIFF, policy]


EXPOSED: Final = (
    b"Link, ETag, Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-ID"
)
ALLOWED_HEADERS: Final = (
    b"Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key,"
    b" Last-Event-ID, X-Request-ID, traceparent, tracestate"
)
PREFLIGHT_LIFETIME: Final = b"600"  # seconds
WILDCARD: Final = "*."
LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # one part of a host name, as browsers write it
VARY: Final = (b"vary", b"Origin")


ORIGIN: Final = re.compile(rb"null|[a-z][a-z0-9+.-]{0,30}://[A-Za-z0-9_.:\[\]-]{1,260}")
"""An origin as browsers send it: without `user@`. Any other value is not from a browser, and not logged."""

REPORTED_MAX: Final = 100  # refused origins in the log of a process: anybody can make up more

log = structlog.get_logger()


class Cors:
    """CORS headers by `Origin`. Those of origins without a wildcard are built once."""

    def __init__(self, origins: Iterable[str]) -> None:
        listed = list(origins)
        self._allowed = {
            origin.encode(): _headers_of_allowed(origin.encode())
            for origin in listed
            if WILDCARD not in origin
        }
        self._wildcard_patterns = [
            re.compile(re.escape(origin).replace(re.escape(WILDCARD), f"{LABEL}\\.", 1).encode())
            for origin in listed
            if WILDCARD in origin
        ]
        self._reported: set[bytes] = set()
        self._for_other_origins: Headers = [VARY] if listed else []

    def headers(self, origin: bytes | None) -> Headers:
        """Return the CORS headers of a response. Only an allowed origin may read it."""
        if origin is None:
            return self._for_other_origins
        return self._allowed.get(origin) or (
            _headers_of_allowed(origin) if self._matches_wildcard(origin) else self._for_other_origins
        )

    def preflight(self, origin: bytes, methods: str) -> Headers:
        """Return the additional headers of a preflight response; none for an origin that is not allowed."""
        if origin not in self._allowed and not self._matches_wildcard(origin):
            self._report(origin)
            return []
        return [
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", ALLOWED_HEADERS),
            (b"access-control-max-age", PREFLIGHT_LIFETIME),
        ]

    def _report(self, origin: bytes) -> None:
        """Log a refused origin once, because the browser reports the failure only to its user.

        Log at most REPORTED_MAX origins.
        """
        if len(self._reported) < REPORTED_MAX and origin not in self._reported and ORIGIN.fullmatch(origin):
            self._reported.add(origin)
            log.warning("origin refused", origin=origin.decode("ascii"), setting="CORS_ORIGINS")

    def _matches_wildcard(self, origin: bytes) -> bool:
        """Return whether an origin matches a wildcard entry."""
        return any(pattern.fullmatch(origin) for pattern in self._wildcard_patterns)


def _headers_of_allowed(origin: bytes) -> Headers:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),  # fetch's `credentials: "include"`
        (b"access-control-expose-headers", EXPOSED),
        VARY,
    ]


def rate_limit_headers(quota: QuotaState | None) -> Headers:
    """Return `RateLimit-Policy` and `RateLimit`: requests left in this window, and seconds until the next."""
    if quota is None:
        return []
    field = b'"%s";r=%d;t=%d' % (quota.policy.name.encode(), max(quota.remaining, 0), quota.reset)
    return [_rate_limit_policy(quota.policy), (b"ratelimit", field)]


@lru_cache
def _rate_limit_policy(policy: Policy) -> tuple[bytes, bytes]:
    return b"ratelimit-policy", f'"{policy.name}";q={policy.quota};w={policy.window}'.encode()
