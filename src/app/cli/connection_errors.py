"""Messages for errors of connecting to the database: a wrong address, or an unavailable server."""

import errno
import re
import socket
import ssl
from typing import Final

from asyncpg import exceptions as pg

from app.settings.database_address import DatabaseAddress

REFUSED: Final = f"[Errno {errno.ECONNREFUSED}]"
"""If a host name has several addresses, asyncio's error has no `errno`, but this text in its message."""


def explain_unreachable(address: DatabaseAddress, error: BaseException) -> str:
    """Return why the database cannot be reached, as a clause that begins with “since”."""
    place = f"{address.host}:{address.port}"
    match error:
        case socket.gaierror():
            return f"since {address.host} is a name that cannot be looked up (is it spelt right?)"
        case TimeoutError():
            return f"since {place} does not answer"
        case OSError() if error.errno == errno.ECONNREFUSED or REFUSED in str(error):
            return f"since nothing listens on {place}"
        case OSError():
            return f"since {place} cannot be reached: {error.strerror or error}"
    return f"since {place} takes no connection: {error}"


def _translate_pooler_error(error: BaseException) -> BaseException:
    """Return what an error of a pooler means. PgBouncer reports all its errors as 08P01, with a text."""
    if isinstance(error, pg.ProtocolViolationError):
        text = str(error)
        if "authentication failed" in text or "no such user" in text:
            return pg.InvalidPasswordError(text)
        if re.search(r"no such database|database .* does not exist", text):
            return pg.InvalidCatalogNameError(text)
    return error


def connection_error(address: DatabaseAddress, error: BaseException) -> str | None:
    """Return what is wrong with the address; None if the error says nothing about it."""
    host = address.host
    message = None
    match _translate_pooler_error(error):
        case pg.InvalidAuthorizationSpecificationError():
            message = f"has a user or password that {host} refuses: copy the address again"
        case pg.InvalidCatalogNameError():
            message = f"names the database {address.database}, which {host} does not have"
        case ssl.SSLCertVerificationError(verify_message=reason):
            message = (
                f"names {host}, whose certificate is not valid for it ({reason}):"
                " check the host name, or set sslrootcert= to the file of its CA"
            )
        case pg.InsufficientPrivilegeError() if "taskward_version" in str(error):
            message = (
                f"names a role that may not read the version of the schema:"
                f" run GRANT SELECT ON taskward_version TO {quote_role(address)}"
            )
        case ssl.SSLError():
            message = f"names {host}, with which no TLS connection can be made"
        case ConnectionError() if type(error) is ConnectionError:  # asyncpg: the server refused TLS
            message = (
                f"names {host}, which does not speak TLS:"
                " add sslmode=disable if the connection may be unencrypted"
            )
    return f"{address.setting} {message}" if message else None


def quote_role(address: DatabaseAddress) -> str:
    """Return the role of an address as SQL writes it."""
    return '"{}"'.format(address.user.replace('"', '""'))


def explain_unfit_role(address: DatabaseAddress, error: BaseException, remedy: str) -> str | None:
    """Return which right the role of an address lacks, and the remedy; None for another error."""
    if not isinstance(error, pg.InsufficientPrivilegeError):
        return None
    what = str(error).splitlines()[0]
    return f"{address.setting} names the role {address.user}, which lacks a right ({what}): {remedy}"
