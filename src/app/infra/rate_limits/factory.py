"""Makes rate limits from the settings, with counts of this process or of a shared store."""

from app.domain.rate_limit import MemoryCounter, Policy, RateLimit, RequestCounter
from app.settings.rate_limits import RateLimits


def make_counter(settings: RateLimits) -> RequestCounter:
    """Return a counter of this process, or of a shared store."""
    own = MemoryCounter()
    if settings.store is None or not settings.on:
        return own
    from app.infra.rate_limits.redis_counter import RedisCounter  # noqa: PLC0415 - a client that few need

    return RedisCounter(settings.store, own, ca_file=settings.store_ca)


def make_limits(settings: RateLimits, counts: RequestCounter) -> tuple[RateLimit | None, RateLimit | None]:
    """Return the rate limits per person and per address; None: no limit."""
    if not settings.on:
        return None, None
    person, address = settings.person, settings.address
    return (
        RateLimit(Policy("person", person.requests, person.seconds), counts),
        RateLimit(Policy("address", address.requests, address.seconds), counts),
    )
