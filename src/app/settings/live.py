"""Live update settings: where machines announce changes to each other."""

from dataclasses import dataclass, field

from app.settings.environment import EnvironmentReader
from app.settings.rate_limits import RateLimits, parse_store_address


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """Where changes are announced."""

    store: str | None = field(repr=False)  # a URL, may have a password; None: on this machine only
    store_ca: str | None  # the authority of the store's certificate
    several_machines: bool  # others write to the database, and their changes are not announced here


def read_live(reader: EnvironmentReader, rate_limits: RateLimits) -> LiveSettings:
    """Read the live update settings."""
    no_store = (reader.get("LIVE_STORE") or "").lower() == "none"
    default = rate_limits.store if rate_limits.is_on else None
    store = None if no_store else reader.read("LIVE_STORE", parse_store_address, default)
    return LiveSettings(store=store, store_ca=rate_limits.store_ca, several_machines=no_store)
