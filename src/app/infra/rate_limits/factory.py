"""Rate limits as they are set: in counts of this process, or in those that several share."""

from app.domain.rate_limit import MemoryCounter, Policy, RateLimit, RequestCounter
from app.settings.rate_limits import RateLimits


def make_counter(settings: RateLimits) -> RequestCounter:
    """Return counts of this process, or those that a store keeps for several."""
    own = MemoryCounter()
    if settings.store is None or not settings.on:
        return own
    from app.infra.rate_limits.redis_counter import RedisCounter  # noqa: PLC0415 - a client that few need

    return RedisCounter(settings.store, own, ca_file=settings.store_ca)


def make_limits(settings: RateLimits, counts: RequestCounter) -> tuple[RateLimit | None, RateLimit | None]:
    """Return how often a person, and an address, may ask; None: as often as they like."""
    if not settings.on:
        return None, None
    person, address = settings.person, settings.address
    return (
        RateLimit(Policy("person", person.requests, person.seconds), counts),
        RateLimit(Policy("address", address.requests, address.seconds), counts),
    )
