"""The client address of a request. `X-Forwarded-For` counts only from a trusted proxy, and is read from the right."""

from ipaddress import ip_network

import pytest

from app.api.context import RequestContext
from app.api.middleware.client_addresses import ClientAddresses
from tests.support.requests import context_with

PROXIES = [ip_network(text) for text in ("10.0.0.0/8", "2001:db8:ffff::/48")]
PROXY = "10.0.0.1"


def request_from(peer: str | None, *forwarded: str, proto: tuple[str, ...] = ()) -> RequestContext:
    """Make a request from a peer, with these lines of `X-Forwarded-For` and `X-Forwarded-Proto`."""
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    headers += [(b"x-forwarded-proto", value.encode()) for value in proto]
    return context_with(headers, peer=peer)


@pytest.mark.parametrize(
    ("peer", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
@pytest.mark.parametrize(
    "clients", [ClientAddresses(), ClientAddresses(PROXIES)], ids=["no proxy", "proxies"]
)
def test_a_client_is_counted_by_its_ipv4_address_or_ipv6_64_prefix(
    clients: ClientAddresses, peer: str | None, counted_as: str
) -> None:
    assert clients.address_of(request_from(peer)) == counted_as


@pytest.mark.parametrize(
    "clients", [ClientAddresses(), ClientAddresses(PROXIES)], ids=["no proxy", "proxies"]
)
def test_a_forwarded_address_from_an_untrusted_peer_is_ignored(clients: ClientAddresses) -> None:
    assert clients.address_of(request_from("192.0.2.9", "192.0.2.1")) == "192.0.2.9"


@pytest.mark.parametrize(
    ("forwarded", "counted_as"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1:5678"], "192.0.2.1"),
        (["[2001:db8:1:2::3]:5678"], "2001:db8:1:2::/64"),
        (["[2001:db8:1:2::3]"], "2001:db8:1:2::/64"),
        (["2001:db8:1:2::3"], "2001:db8:1:2::/64"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["[::ffff:192.0.2.1]:80"], "192.0.2.1"),
        (["203.0.113.5, 192.0.2.1"], "192.0.2.1"),  # the client itself may have sent the left address
        (["203.0.113.5,192.0.2.1 ,\t10.1.1.1"], "192.0.2.1"),
        (["203.0.113.5", "192.0.2.1, 10.1.1.1", "10.2.2.2"], "192.0.2.1"),
        (["192.0.2.1, ::ffff:10.1.1.1, 2001:db8:ffff::1"], "192.0.2.1"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),  # every address is a proxy's: the request comes from a proxy
        (["unknown"], PROXY),
        ([""], PROXY),
        ([","], PROXY),
        (["192.0.2.1, unknown"], PROXY),
        (["192.0.2.1, _hidden, 10.1.1.1"], "10.1.1.1"),
        (["192.0.2.1, 10.1.1.1 x"], PROXY),
        (["192.0.2.300"], PROXY),
        (["\xff\x00"], PROXY),
        (["1" * 10_000], PROXY),
        (["[" * 1000], PROXY),
        ([","] * 500, PROXY),
        ([], PROXY),
    ],
)
def test_behind_trusted_proxies_the_client_is_the_rightmost_address_that_is_no_proxy(
    forwarded: list[str], counted_as: str
) -> None:
    assert ClientAddresses(PROXIES).address_of(request_from(PROXY, *forwarded)) == counted_as


@pytest.mark.parametrize(
    ("peer", "proto", "secure"),
    [
        (PROXY, ("https",), True),
        (PROXY, ("http",), False),
        (PROXY, (), False),
        (PROXY, ("https", "http"), False),
        ("192.0.2.1", ("https",), False),
        (None, ("https",), False),
    ],
)
def test_only_a_trusted_proxy_can_report_tls(
    peer: str | None,
    proto: tuple[str, ...],
    secure: bool,  # noqa: FBT001
) -> None:
    assert ClientAddresses(PROXIES).is_secure(request_from(peer, proto=proto)) is secure
    assert not ClientAddresses().is_secure(request_from(peer, proto=proto))
