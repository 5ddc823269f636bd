"""What browsers are told of every answer, after OWASP's REST Security Cheat Sheet, in few bytes.

Answers are JSON: nothing in them is to be run, framed or guessed at. `X-Frame-Options` is what
`frame-ancestors` replaced; `Permissions-Policy` and `Referrer-Policy` speak of pages.
"""

from typing import Final

from app.api.docs import POLICY

Headers = list[tuple[bytes, bytes]]

PROBLEM_PAGES: Final = "/problems"
"""Where a problem's `type` leads, unless PROBLEM_BASE_URL says otherwise."""

PAGES: Final = ("/docs", PROBLEM_PAGES)
NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
SEALED: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
PAGE: Final = (b"content-security-policy", POLICY.encode())
TLS_ONLY: Final = (b"strict-transport-security", b"max-age=63072000")  # seconds: two years


def security_headers(path: str, *, secure: bool) -> Headers:
    """Return them. What came without TLS must not speak of it (RFC 6797 §7.2)."""
    policy = PAGE if path.startswith(PAGES) else SEALED
    return [NOSNIFF, policy, TLS_ONLY] if secure else [NOSNIFF, policy]
