"""Rate limit settings: quotas, the shared store, and trusted proxies."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from app.settings.environment import EnvironmentReader, existing_file, number, one_of

Network = IPv4Network | IPv6Network

STORE_SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys")
TLS_SCHEMES: Final = ("rediss://", "valkeys://")
STORE_PORT: Final = 6379
QUOTA_MAX: Final = 1_000_000_000
WINDOW_MAX: Final = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Quota:
    """A number of requests in a number of seconds."""

    requests: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """The rate limits. Turn them off if a proxy limits requests already."""

    is_on: bool
    person: Quota
    address: Quota
    store: str | None = field(repr=False)  # a URL, may have a password; None: each process counts by itself
    store_ca: str | None  # the authority of the store's certificate; None: the system's authorities
    trusted_proxies: tuple[Network, ...]  # whose X-Forwarded-For entries are trusted


def read_rate_limits(reader: EnvironmentReader) -> RateLimits:
    """Read the rate limit settings."""
    store = reader.read("RATE_LIMIT_STORE", parse_store_address, None)
    store_ca = reader.read("RATE_LIMIT_STORE_CA", existing_file, None)
    stores = (store or "", reader.get("LIVE_STORE") or "")
    if store_ca and not any(url.startswith(TLS_SCHEMES) for url in stores):
        reader.add(
            "RATE_LIMIT_STORE_CA",
            "is set, and neither RATE_LIMIT_STORE nor LIVE_STORE uses TLS: write rediss:// or valkeys://",
        )
    return RateLimits(
        is_on=reader.read("RATE_LIMIT", one_of("on", "off"), "on") == "on",
        person=reader.read("RATE_LIMIT_PERSON", _parse_quota, Quota(1_200, 60)),
        address=reader.read("RATE_LIMIT_ADDRESS", _parse_quota, Quota(12_000, 60)),
        store=store,
        store_ca=store_ca,
        trusted_proxies=reader.read("TRUSTED_PROXIES", _parse_networks, ()),
    )


def _parse_quota(text: str) -> Quota:
    try:
        requests, seconds = map(str.strip, text.split("/"))
        return Quota(number(1, QUOTA_MAX)(requests), number(1, WINDOW_MAX)(seconds))
    except ValueError:
        raise ValueError(f"is {text!r}, which must be requests/seconds, as in 1200/60") from None


def parse_store_address(text: str) -> str:
    """Accept the address of a Valkey or Redis, and add its port.

    Raises:
        ValueError: it is no such address.
    """
    try:
        url = urlsplit(text)
        (url.hostname or "").encode("idna")  # raises here what a DNS lookup would raise later
        index = url.path.strip("/") or "0"  # of the database in that server
        is_wrong = url.scheme not in STORE_SCHEMES or not url.hostname or url.port == 0
        is_wrong = is_wrong or not index.isdecimal()
    except ValueError:
        is_wrong = True
    if is_wrong or url.query or url.fragment:
        # The message does not quote the value, which may have a password.
        raise ValueError("is not a URL like redis://cache.example.com:6379: see .env.example")
    return text if url.port else urlunsplit(url._replace(netloc=f"{url.netloc.rstrip(':')}:{STORE_PORT}"))


def _parse_networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(item) for item in filter(None, map(str.strip, text.split(","))))
    except ValueError as error:
        raise ValueError(f"has an invalid network ({error}): write 10.0.0.0/8, 2001:db8::/32") from None
