"""Messages for errors of a store, without its password."""

import socket
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError, ResponseError

UNTRUSTED: Final = (
    "names {host}, whose certificate is not valid for it ({error.verify_message}):"
    " check the host name, or set RATE_LIMIT_STORE_CA to the file of its CA"
)
MEANINGS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (AuthenticationError, "has a user or password that {host} refuses"),
    (NoPermissionError, "names a user of {host} who lacks a right: allow {rights}"),
    (ReadOnlyError, "names {host}, a replica that only reads: name its primary"),
    (ResponseError, "names {host}, which answers: {error}"),
    (ssl.SSLCertVerificationError, UNTRUSTED),
    (ssl.SSLError, "names {host}, with which no TLS connection can be made"),
    (socket.gaierror, "names {host}, a name that cannot be looked up"),
    (ConnectionRefusedError, "names {host}, where nothing listens on port {port}"),
    (TimeoutError, "names {host}, which does not answer in time on port {port}: does it speak TLS there?"),
    (BaseException, "names {host}, with which the connection breaks"),
)
"""Messages by type of error. The first type that matches an error of the chain counts."""

RIGHTS: Final = {
    "RATE_LIMIT_STORE": "EVALSHA, SCRIPT LOAD, INCRBY and EXPIRE, and the keys taskward:*",
    "LIVE_STORE": "PUBLISH, SUBSCRIBE and PING, and the channel taskward:live",
}
"""What a user of the store needs, by setting: also SELECT, if the URL has a database number other than 0."""

NO_SUCH_DATABASE: Final = "DB index is out of range"


def explain_redis_error(url: str, error: BaseException, *, setting: str = "RATE_LIMIT_STORE") -> str:
    """Return what is wrong with the store, without its password. The text begins with its setting."""
    parts, errors = urlsplit(url), list(_chain(error))
    if any(NO_SUCH_DATABASE in str(error) for error in errors):
        number = parts.path.strip("/")
        return f"{setting} names the database {number}, which {parts.hostname} does not have"
    meaning, found = next((text, one) for kind, text in MEANINGS for one in errors if isinstance(one, kind))
    return f"{setting} " + meaning.format(
        host=parts.hostname, port=parts.port, error=found, rights=RIGHTS[setting]
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
