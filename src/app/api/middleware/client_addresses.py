"""From which address a request comes, if that is to be counted.

`X-Forwarded-For` is what its sender writes. Each proxy adds, on the right, who it was spoken to by; so it is
read from the right, for as long as whoever added a word is one of ours.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

from app.settings.rate_limits import Network

SITE: Final = 64  # bits: what one IPv6 customer has at least, and changes addresses within (RFC 6177)
KNOWN: Final = 4096  # addresses whose names are at hand

Address = IPv4Address | IPv6Address


class ClientAddresses:
    """Names those who ask by their addresses."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)
        self._peer_named = lru_cache(KNOWN)(lambda host: named(host) or "unknown")

    def name(self, scope: Any) -> str:
        """Return an IPv4 address or an IPv6 network of 64 bits."""
        peer = scope["client"][0] if scope.get("client") else ""
        if not self._trusted:
            return self._peer_named(peer)
        given = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return self._behind(peer, b",".join(given).decode("latin-1").split(",")) or "unknown"

    def is_secure(self, scope: Any) -> bool:
        """Tell whether a proxy of ours says that it was asked by TLS."""
        if not self._trusted or not self._trusts(parsed(scope["client"][0] if scope.get("client") else "")):
            return False
        return [value for name, value in scope["headers"] if name == b"x-forwarded-proto"] == [b"https"]

    def _behind(self, peer: str, chain: Sequence[str]) -> str | None:
        """Return the rightmost address that is no proxy of ours; before what is no address, we stop."""
        last = parsed(peer)
        for word in reversed(chain):
            if not self._trusts(last):
                break
            found = parsed(word.strip(" \t"))
            if found is None:
                break
            last = found
        return None if last is None else _site(last)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def named(text: str) -> str | None:
    """Return the name by which an address is counted."""
    address = parsed(text)
    return None if address is None else _site(address)


def parsed(text: str) -> Address | None:
    """Read an address, alone or with a port (`1.2.3.4:80`, `[::1]:80`); an IPv4 one within IPv6 is that."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _site(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), SITE), strict=False))
