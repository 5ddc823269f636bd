"""Rate limits as they are set: in counts of this process, or in those that several share."""

from app.domain.rate_limit import Counts, Policy, RateLimit
from app.infra.process_counts import ProcessCounts
from app.settings.rate_limits import RateLimits


def counts_in(store: str | None) -> Counts:
    """Return counts of this process, or those that the store of this URL keeps for several."""
    own = ProcessCounts()
    if store is None:
        return own
    from app.infra.shared_counts import SharedCounts  # noqa: PLC0415 - a client that few need

    return SharedCounts(store, own)


def limits_of(settings: RateLimits, counts: Counts) -> tuple[RateLimit | None, RateLimit | None]:
    """Return how often a person, and an address, may ask; None: as often as they like."""
    if not settings.on:
        return None, None
    person, address = settings.person, settings.address
    return (
        RateLimit(Policy("person", person.requests, person.seconds), counts),
        RateLimit(Policy("address", address.requests, address.seconds), counts),
    )
