"""Parsing of web addresses and origins, normalised as browsers and Better Auth write them."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

ANY_LABEL: Final = "*."
LABEL_MAX: Final = 63  # characters, RFC 1035


def origin(url: SplitResult) -> str:
    """Return scheme, host and port (RFC 6454 §6.2). The default port is left out."""
    default = {"http": 80, "https": 443}[url.scheme]
    host = ascii_host(url.hostname or "")
    host = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port not in (None, default) else "")


def ascii_host(host: str) -> str:
    """Return a host as browsers send it: `xn--strae-oqa.example` for `straße.example` (UTS 46).

    Raises:
        ValueError: the host has no ASCII form.
    """
    if host.isascii():
        return host.lower()
    from idna import uts46_remap  # noqa: PLC0415 - few deployments need its large tables

    labels = [_ascii_label(label) for label in uts46_remap(host, std3_rules=False).split(".")]
    return ".".join(labels)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host. Connections to it need no TLS."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def web_address(text: str) -> SplitResult:
    """Parse an http(s) URL without user, query or fragment.

    Raises:
        ValueError: it is not such a URL.
    """
    try:
        url = urlsplit(text)
        is_wrong = url.scheme not in ("http", "https") or not url.hostname or url.port == 0
        ascii_host(url.hostname or "").encode("idna")  # raises here what a DNS lookup would raise later
    except ValueError:
        is_wrong = True
    if is_wrong or url.username or url.query or url.fragment or "*" in (url.hostname or ""):
        raise ValueError("is not a URL like https://app.example.com")
    return url


def origins(text: str) -> tuple[str, ...]:
    """Parse a list of origins, separated by commas. The `*` in `https://*.example.com` matches one label.

    `*` alone is refused, because any page could use tokens then. So is `*.com`.

    Raises:
        ValueError: with the first origin that is invalid.
    """
    return tuple(_parse_origin(item) for item in filter(None, map(str.strip, text.split(","))))


def _parse_origin(text: str) -> str:
    scheme, separator, rest = text.partition(f"//{ANY_LABEL}")
    try:
        url = web_address(f"{scheme}//{rest}" if separator else text)
        is_wrong = bool(url.path.strip("/")) or (
            bool(separator) and not _has_parent_domain(url.hostname or "")
        )
    except ValueError:
        is_wrong = True
    if is_wrong:
        raise ValueError(
            f"has {text!r}, which is not an origin like https://app.example.com or https://*.example.com"
        )
    plain = origin(url)
    return plain.replace("//", f"//{ANY_LABEL}", 1) if separator else plain


def _has_parent_domain(host: str) -> bool:
    """Return whether a host is below a domain, or is `localhost`. Below `com` are all companies."""
    return "." in host or host == "localhost"


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    encoded = f"xn--{label.encode('punycode').decode()}"
    if len(encoded) > LABEL_MAX:
        raise ValueError("has a host name with too long a part")
    return encoded
