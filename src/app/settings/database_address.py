"""Parsing of a PostgreSQL URL, as Neon's console shows it."""

import re
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from app.settings.addresses import is_loopback
from app.settings.environment import is_file

SCHEMES: Final = ("postgresql", "postgres")
VERIFIED: Final = ("require", "verify-ca", "verify-full")  # values of `sslmode`: all verify the host name too
POOLER: Final = "-pooler."
NEON: Final = ".neon.tech"  # host names show whether there is a pooler
_POOLERS: Final = re.compile(r"(-pooler)+\.")


class MalformedAddress(ValueError):
    """The address is invalid. The message says why, and never quotes the password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAddress:
    """The address of the database, and how to connect to it."""

    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    database: str
    tls: bool  # certificate and host name are always verified; channel binding is not used
    ca_file: str | None  # the authority of the server's certificate; None: the system's authorities
    pooled: bool | None  # by a transaction pooler, which keeps no session; None: unknown until connected
    application_name: str
    setting: str = field(default="DATABASE_URL", compare=False)  # the variable that has this address

    @classmethod
    def parse(cls, url: str) -> "DatabaseAddress":
        """Parse `postgresql://user:password@host[:port]/database[?parameters]`.

        Known parameters: `sslmode`, `sslrootcert`, `channel_binding`, `application_name`, `pgbouncer`.
        `pgbouncer` is `true` or `false`: whether the host is a pooler. Neon names its poolers `-pooler.`.

        Raises:
            MalformedAddress: with all errors.
        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port or 5432
            host.encode("idna")  # raises here what a DNS lookup would raise later
            parameters = dict(
                parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            )
        except ValueError as error:
            raise MalformedAddress(
                "is not a URL of the form postgresql://user:password@host/database"
            ) from error
        if "@" in parts.query + parts.fragment:  # both are part of the password, so do not quote them
            raise MalformedAddress("has `?` or `#` in its password: write %3F or %23")
        database = unquote(parts.path.removeprefix("/"))
        wrong = [
            *_missing_parts(parts.scheme, host, parts.username, database),
            *_wrong_parameters(parameters, host),
        ]
        if wrong:
            raise MalformedAddress("; ".join(wrong))
        if any(map(_has_refused_characters, (host, unquote(parts.netloc), database, *parameters.values()))):
            raise MalformedAddress("holds U+0000 or half of a surrogate pair, which PostgreSQL does not take")
        mode = parameters.get("sslmode", "disable" if is_loopback(host) else "require")
        return cls(
            host=host,
            port=port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password) if parts.password is not None else None,
            database=database,
            tls=mode in VERIFIED,
            ca_file=parameters.get("sslrootcert") if parameters.get("sslrootcert") != "system" else None,
            pooled=_is_pooled(host, parameters.get("pgbouncer")),
            application_name=parameters.get("application_name", "taskward"),
        )

    def direct(self) -> "DatabaseAddress":
        """Return the address without Neon's pooler. On other hosts it is the same address."""
        host = _POOLERS.sub(".", self.host)
        return self if host == self.host else replace(self, host=host, pooled=_is_pooled(host, None))


def difference(database: DatabaseAddress, direct: DatabaseAddress) -> str | None:
    """Return a warning if the address for maintenance names another database than the one for requests.

    A pooler (`pgbouncer=true`) may be on a host of its own. Neon's pooler has the host's name with `-pooler`.
    """
    hosts = [address.direct().host for address in (database, direct)]
    has_own_pooler = database.pooled and POOLER not in database.host
    is_same_host = has_own_pooler or hosts[0] == hosts[1] or all(map(is_loopback, hosts))
    if is_same_host and database.database == direct.database:
        return None
    return (
        f"{direct.setting} names {direct.database} on {direct.host}, and DATABASE_URL {database.database} on"
        f" {database.host}: `app migrate` and `app purge` change the first, and requests use the second"
        + ("" if is_same_host else " (if that is a PgBouncer, add pgbouncer=true to DATABASE_URL)")
    )


def _is_pooled(host: str, pgbouncer: str | None) -> bool | None:
    if POOLER in host or pgbouncer == "true":
        return True
    return False if host.endswith(NEON) or pgbouncer == "false" else None


def _missing_parts(scheme: str, host: str, user: str | None, database: str) -> list[str]:
    errors = []
    if scheme not in SCHEMES:
        errors.append(
            f"must begin with postgresql:// and not with {scheme}://" if scheme else "has no scheme"
        )
    absent = [name for name, value in (("host", host), ("user", user), ("database", database)) if not value]
    if absent:
        errors.append(f"names no {', no '.join(absent)}")
    return errors


def _wrong_parameters(parameters: dict[str, str], host: str) -> list[str]:
    allowed: dict[str, tuple[str, ...] | None] = {
        "sslmode": ("disable", *VERIFIED),
        "channel_binding": ("disable", "prefer", "require"),
        "pgbouncer": ("true", "false"),
        "sslrootcert": None,
        "application_name": None,
    }
    errors = [f"has an unknown parameter: {name}" for name in parameters if name not in allowed]
    for name, values in allowed.items():
        if name in parameters and values and parameters[name] not in values:
            errors.append(f"has {name}={parameters[name]}, which must be one of {', '.join(values)}")
    authority = parameters.get("sslrootcert", "system")
    if authority != "system" and not is_file(authority):
        errors.append(f"has sslrootcert={authority}, which is not a file")
    contradicts = (parameters.get("channel_binding"), parameters.get("sslmode")) == ("require", "disable")
    if contradicts and not is_loopback(host):
        errors.append("has channel_binding=require and sslmode=disable, which contradict each other")
    return errors


def _has_refused_characters(text: str) -> bool:
    """Return whether a text has characters that PostgreSQL does not accept."""
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)
