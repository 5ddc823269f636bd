"""Server settings: the socket, workers, and allowed hosts."""

from dataclasses import dataclass

from app.settings.addresses import ascii_host, is_loopback
from app.settings.environment import EnvironmentReader, number


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The socket, the workers, and the host names of this service."""

    host: str
    port: int
    workers: int  # processes
    shutdown_delay: int  # seconds between the stop signal and refusing new connections
    allowed_hosts: frozenset[str] | None  # lower case, without port; None: any host name


def read_server(reader: EnvironmentReader) -> ServerSettings:
    """Read the server settings."""
    host = reader.read("HOST", _parse_host, "127.0.0.1")
    names = reader.read("ALLOWED_HOSTS", _parse_names, None)
    if names is None and not is_loopback(host) and not reader.get("ALLOWED_HOSTS"):
        reader.add(
            "ALLOWED_HOSTS",
            f"is not set, and HOST={host} is reachable from outside: set it to the names that this service is"
            " called by, separated by commas (`*.example.com` is any name below example.com, `*` any at all)",
        )
    return ServerSettings(
        host=host,
        port=reader.read("PORT", number(1, 65535), 8000),
        workers=reader.read("WEB_CONCURRENCY", number(1, 64), 1),
        shutdown_delay=reader.read("SHUTDOWN_DELAY", number(0, 300), 0),
        allowed_hosts=names,
    )


def _parse_host(text: str) -> str:
    try:
        text.encode("idna")  # raises here what a DNS lookup would raise later
    except UnicodeError:
        raise ValueError(f"is {text!r}, which is no host name and no address") from None
    return text


def _parse_names(text: str) -> frozenset[str] | None:
    names = frozenset(ascii_host(name.strip()) for name in text.split(",") if name.strip())
    wrong = sorted(name for name in names if "/" in name or (":" in name and not name.startswith("[")))
    if wrong or not names:
        raise ValueError(
            f"has {', '.join(wrong) or 'no name'}; write host names only, without scheme and port"
        )
    return None if "*" in names else names
