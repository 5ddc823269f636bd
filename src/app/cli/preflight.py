"""Checks before the service starts. All errors are reported together, each with its variable."""

import asyncio
import errno
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from asyncpg import PostgresError
from asyncpg import exceptions as pg

from app.cli.connection_errors import connection_error, explain_unreachable
from app.infra.migrations.schema_version import is_current
from app.infra.postgres.connector import ADVICE, Connector
from app.infra.postgres.row_security_check import find_gaps
from app.settings import Settings, SettingsError, near_misses, read_database
from app.settings.addresses import is_loopback
from app.settings.database_address import DatabaseAddress, difference
from app.settings.environment import EnvironmentReader, readable_secrets, repeated_names
from app.settings.server import read_server
from app.settings.telemetry import read_telemetry

SECRET_VARIETY: Final = 8  # different bytes; a random secret has more, even one of hexadecimal digits
PATIENCE: Final = 5.0  # seconds to check the database or a store: a suspended one must not delay the start


def check_settings(env: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings, and warnings that do not prevent the start.

    An unreachable database is a warning only: the service starts, and answers 503 until it is there.

    Raises:
        SettingsError: with all errors that prevent the start.
    """
    errors: list[str] = []
    settings = None
    try:
        settings = Settings.from_env(env)
    except SettingsError as error:
        errors += error.errors
    errors += port_errors(env)
    database, direct = read_database(EnvironmentReader(env))
    warnings: list[str] = []
    if database and direct:
        found, warnings = asyncio.run(check_database(database, direct))
        errors += found
    if settings is None or errors:
        raise SettingsError(errors)
    workers, limits, live = settings.server.workers, settings.rate_limits, settings.live
    if limits.is_on and limits.store is not None:
        warnings += asyncio.run(_rate_limit_store_warnings(limits.store, limits.store_ca))
    if live.store is not None and live.store != limits.store:
        warnings += asyncio.run(_live_store_warnings(live.store, live.store_ca))
    if warning := difference(settings.database, settings.database_direct):
        warnings.append(warning)
    warnings += [*security_warnings(settings), *readable_secrets(), *repeated_names(), *near_misses(env)]
    if workers > 1 and limits.is_on and limits.store is None:
        warnings.append(
            f"each of {workers} processes counts requests by itself, so rate limits are up to {workers} times"
            " as high: set RATE_LIMIT_STORE to a Valkey or Redis to share them"
        )
    return settings, warnings


def security_warnings(settings: Settings) -> list[str]:
    """Return a warning for each remote connection without TLS, and for each setting that protects nothing."""
    limits, jwks_url = settings.rate_limits, settings.auth.jwks_url
    found = []
    if jwks_url and _is_unencrypted(jwks_url, "http"):
        found.append(
            "the key set is fetched over plain http, so anyone on the network path can forge tokens: "
            "use an https address"
        )
    if not settings.database.tls and not is_loopback(settings.database.host):
        found.append(
            "DATABASE_URL has sslmode=disable, so anyone on the network path can read and change tasks"
        )
    if limits.is_on and limits.store and _is_unencrypted(limits.store, "redis", "valkey"):
        found.append("RATE_LIMIT_STORE is on another machine without TLS: use rediss:// or valkeys://")
    live = settings.live.store
    if live and live != limits.store and _is_unencrypted(live, "redis", "valkey"):
        found.append("LIVE_STORE is on another machine without TLS: use rediss:// or valkeys://")
    if any(network.prefixlen == 0 for network in limits.trusted_proxies):
        found.append(
            "TRUSTED_PROXIES has every address, so each client can write its own address and no limit per "
            "address holds: name the networks of your proxies"
        )
    if settings.auth.secret and len(set(settings.auth.secret)) < SECRET_VARIETY:
        found.append(
            "BETTER_AUTH_SECRET can be guessed, so anyone can forge tokens: use `openssl rand -base64 32`"
        )
    if settings.telemetry.metrics_port is not None and not is_loopback(settings.telemetry.metrics_host):
        found.append(
            "METRICS_HOST can be reached from other machines, and metrics need no authentication: "
            "let only your monitoring reach it"
        )
    return found


def _is_unencrypted(url: str, *schemes: str) -> bool:
    """Return whether a URL has one of these schemes without TLS, and names another machine."""
    parts = urlsplit(url)
    return parts.scheme in schemes and not is_loopback(parts.hostname or "")


def port_errors(env: Mapping[str, str]) -> list[str]:
    """Return an error for each socket that cannot be bound. Invalid settings are reported elsewhere."""
    reader = EnvironmentReader(env)
    server, telemetry = read_server(reader), read_telemetry(reader)
    if reader.errors:
        return []
    errors = _socket_errors(server.host, server.port)
    if telemetry.metrics_port is not None:
        errors += _socket_errors(telemetry.metrics_host, telemetry.metrics_port, prefix="METRICS_")
    return errors


def _socket_errors(host: str, port: int, *, prefix: str = "") -> list[str]:
    """Return why a socket cannot be bound. Its variables are `<prefix>HOST` and `<prefix>PORT`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        name = f"{prefix}PORT"
        if error.errno == errno.EADDRINUSE:
            return [f"{name} {port} is used by another program: stop it, or choose another number"]
        if error.errno == errno.EACCES:
            return [f"{name} {port} may not be used by this user: set {name} to 1024 or more"]
        return [
            f"{prefix}HOST {host} is not an address of this machine: set it to one, or to 0.0.0.0 for all"
        ]
    return []


async def check_database(database: DatabaseAddress, direct: DatabaseAddress) -> tuple[list[str], list[str]]:
    """Return errors and warnings about the database. An unreachable database is a warning."""
    connector, address = Connector(database), database
    try:
        async with asyncio.timeout(PATIENCE):
            connection = await connector.connect()
            try:
                gaps = await find_gaps(connection)
                is_newest = await is_current(connection)
            finally:
                await connection.close()
            address = direct  # errors from here on are of this address
            missing = []
            if not is_newest:
                from app.infra.migrations.run import list_waiting  # noqa: PLC0415 - see `schema_version`

                missing = await list_waiting(direct)
    except (OSError, TimeoutError, PostgresError, pg.InterfaceError) as error:
        message = connection_error(address, error)
        if message:
            return [message], []
        why = explain_unreachable(address, error)
        return [], [f"the database cannot be reached yet, {why}: answering 503 until it is there"]
    if missing:
        count = "1 migration is" if len(missing) == 1 else f"{len(missing)} migrations are"
        return [f"DATABASE_URL names a database for which {count} waiting: run `app migrate`"], []
    warnings = []
    if connector.address.pooled and not database.pooled:
        warnings.append(f"the database is reached through a transaction pooler: {ADVICE}")
    return [
        f"DATABASE_URL names a database whose row-level security has a gap: {gap}" for gap in gaps
    ], warnings


async def _rate_limit_store_warnings(url: str, ca_file: str | None) -> list[str]:
    """Return warnings about the store of rate limits. They are not errors: requests are served without it."""
    from app.domain.rate_limit import MemoryCounter  # noqa: PLC0415 - few deployments need a Redis client
    from app.infra.redis_counter import RedisCounter  # noqa: PLC0415

    counts = RedisCounter(url, MemoryCounter(), ca_file=ca_file)
    try:
        trouble = await counts.probe(PATIENCE)
    finally:
        await counts.close()
    return [] if trouble is None else [f"{trouble}; until then each process counts requests by itself"]


async def _live_store_warnings(url: str, ca_file: str | None) -> list[str]:
    from app.infra.live_store import announce_everyone  # noqa: PLC0415 - few deployments need a Redis client

    trouble = await announce_everyone(url, ca_file, PATIENCE)
    until_then = "until then changes are announced on this machine only"
    return [] if trouble is None else [f"{trouble}; {until_then}"]
