"""The address of the client that sent a request, for the rate limit per address.

Any client can send `X-Forwarded-For`. Each proxy appends the address of its own client on the right. So the
header is read from the right, for as long as a trusted proxy added the entry.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from app.api.context import RequestContext
from app.settings.rate_limits import Network

IPV6_PREFIX: Final = 64  # bits: one IPv6 customer can use any address in such a network (RFC 6177)
CACHED_PEERS_MAX: Final = 4096

Address = IPv4Address | IPv6Address


class ClientAddresses:
    """Finds the address of the client that sent a request, behind trusted proxies."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)
        self._address_of_peer = lru_cache(CACHED_PEERS_MAX)(
            lambda peer: self._client_behind(peer, ()) or "unknown"
        )

    def address_of(self, context: RequestContext) -> str:
        """Return the client's IPv4 address or its IPv6 network of 64 bits; `unknown` without either."""
        if not self._trusted:
            return self._address_of_peer(context.peer)
        forwarded = ",".join(context.lines(b"x-forwarded-for"))
        return self._client_behind(context.peer, forwarded.split(",")) or "unknown"

    def is_direct(self, context: RequestContext) -> bool:
        """Return whether the connection is the client's own, and not one of a trusted proxy."""
        return not self._trusted or not self._trusts(parse_address(context.peer))

    def is_secure(self, context: RequestContext) -> bool:
        """Return whether a trusted proxy reports that its client used TLS."""
        if not self._trusted or not self._trusts(parse_address(context.peer)):
            return False
        return context.lines(b"x-forwarded-proto") == ["https"]

    def _client_behind(self, peer: str, chain: Sequence[str]) -> str | None:
        """Return the rightmost address of `chain` and then `peer` that is not a trusted proxy.

        If all of them are trusted, return the leftmost. An entry that is no address hides those left of it.
        None: `peer` is no address either.
        """
        last = parse_address(peer)
        for entry in reversed(chain):
            if not self._trusts(last):
                break
            found = parse_address(entry.strip(" \t"))
            if found is None:
                break
            last = found
        return None if last is None else _name_of(last)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def parse_address(text: str) -> Address | None:
    """Parse an address, with or without a port (`1.2.3.4:80`, `[::1]:80`).

    An IPv4-mapped IPv6 address becomes IPv4.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _name_of(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))
