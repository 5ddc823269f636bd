"""A PostgreSQL address, exactly as Neon's console gives it."""

import re
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES: Final = ("postgresql", "postgres")
VERIFIED: Final = ("require", "verify-ca", "verify-full")
POOLER: Final = "-pooler."
NEON: Final = ".neon.tech"  # whose names say whether a pooler is behind them
_POOLERS: Final = re.compile(r"(-pooler)+\.")


class MalformedAddress(ValueError):
    """The address cannot be used; the message says why and never quotes the password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAddress:
    """Where the database is, and how to speak with it."""

    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    database: str
    tls: bool  # certificate and host name are always verified: what stands in for channel binding
    ca_file: str | None  # who signs the server's certificate; None: those the system trusts
    pooled: bool | None  # by a transaction pooler, which keeps no session; None: connecting tells
    application_name: str
    setting: str = field(default="DATABASE_URL", compare=False)  # the variable that said it

    @classmethod
    def parse(cls, url: str) -> "DatabaseAddress":
        """Read `postgresql://user:password@host[:port]/database[?parameters]`.

        Known parameters: `sslmode`, `sslrootcert`, `channel_binding`, `application_name`, and
        `pgbouncer=true` or `false`, which says of any host what `-pooler.` in its name says of Neon's.

        Raises:
            MalformedAddress: with everything that is wrong.

        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname or "", parts.port or 5432
            host.encode("idna")  # what looking it up begins with
            given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError as error:
            raise MalformedAddress(
                "is not a URL of the form postgresql://user:password@host/database"
            ) from error
        if (
            "@" in parts.query + parts.fragment
        ):  # so these are the rest of a password, which is not to be told
            raise MalformedAddress("has `?` or `#` in its password: write %3F or %23")
        database = unquote(parts.path.removeprefix("/"))
        wrong = [*_missing(parts.scheme, host, parts.username, database), *_wrong_parameters(given, host)]
        if wrong:
            raise MalformedAddress("; ".join(wrong))
        if any(map(_unfit, (host, unquote(parts.netloc), database, *given.values()))):
            raise MalformedAddress("holds U+0000 or half of a surrogate pair, which PostgreSQL does not take")
        mode = given.get("sslmode", "disable" if is_here(host) else "require")
        return cls(
            host=host,
            port=port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password) if parts.password is not None else None,
            database=database,
            tls=mode in VERIFIED,
            ca_file=given.get("sslrootcert") if given.get("sslrootcert") != "system" else None,
            pooled=_pooled(host, given.get("pgbouncer")),
            application_name=given.get("application_name", "taskward"),
        )

    def direct(self) -> "DatabaseAddress":
        """Return the same database without Neon's pooler in between; any other host has no other name."""
        host = _POOLERS.sub(".", self.host)
        return self if host == self.host else replace(self, host=host, pooled=_pooled(host, None))


def _pooled(host: str, said: str | None) -> bool | None:
    if POOLER in host or said == "true":
        return True
    return False if host.endswith(NEON) or said == "false" else None


def _missing(scheme: str, host: str, user: str | None, database: str) -> list[str]:
    errors = []
    if scheme not in SCHEMES:
        errors.append(
            f"must begin with postgresql:// and not with {scheme}://" if scheme else "has no scheme"
        )
    absent = [name for name, value in (("host", host), ("user", user), ("database", database)) if not value]
    if absent:
        errors.append(f"names no {', no '.join(absent)}")
    return errors


def _wrong_parameters(given: dict[str, str], host: str) -> list[str]:
    allowed: dict[str, tuple[str, ...] | None] = {
        "sslmode": ("disable", *VERIFIED),
        "channel_binding": ("disable", "prefer", "require"),
        "pgbouncer": ("true", "false"),
        "sslrootcert": None,
        "application_name": None,
    }
    errors = [f"has a parameter that is not known here: {name}" for name in given if name not in allowed]
    for name, values in allowed.items():
        if name in given and values and given[name] not in values:
            errors.append(f"has {name}={given[name]}, which must be one of {', '.join(values)}")
    authority = given.get("sslrootcert", "system")
    if authority != "system" and not _is_file(authority):
        errors.append(f"has sslrootcert={authority}, which is not a file")
    if given.get("channel_binding") == "require" and given.get("sslmode") == "disable" and not is_here(host):
        errors.append("asks for channel_binding=require and sslmode=disable, which contradict each other")
    return errors


def _unfit(text: str) -> bool:
    """Tell whether a text holds what the server cannot be sent."""
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # too long for a name, or in a folder that may not be looked into
        return False


def is_here(host: str) -> bool:
    """Tell whether the host is this machine, to which a connection needs no TLS."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
