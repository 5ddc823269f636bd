"""Where somebody stands, in headers (draft-ietf-httpapi-ratelimit-headers)."""

from functools import lru_cache

from app.domain.rate_limit import Policy, Standing

Headers = list[tuple[bytes, bytes]]


def told(standing: Standing | None) -> Headers:
    """Return `RateLimit-Policy` and `RateLimit`: what is left in this window, and when the next begins."""
    if standing is None:
        return []
    field = b'"%s";r=%d;t=%d' % (
        standing.policy.name.encode(),
        max(standing.remaining, 0),
        standing.reset,
    )
    return [_policy(standing.policy), (b"ratelimit", field)]


@lru_cache
def _policy(policy: Policy) -> tuple[bytes, bytes]:
    return b"ratelimit-policy", f'"{policy.name}";q={policy.quota};w={policy.window}'.encode()
