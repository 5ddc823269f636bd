"""All settings, read once from the environment. No secret has a default."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

from app.settings.addresses import origin, origins, web_address
from app.settings.auth import AuthSettings, read_auth
from app.settings.database_address import DatabaseAddress
from app.settings.environment import (
    ENV_FILE,
    EnvironmentReader,
    SettingsError,
    flag,
    number,
    one_of,
    read_env_file,
)
from app.settings.live import LiveSettings, read_live
from app.settings.rate_limits import RateLimits, read_rate_limits
from app.settings.server import ServerSettings, read_server
from app.settings.telemetry import TelemetrySettings, read_telemetry

__all__ = ("Settings", "SettingsError")

OTHER_VARIABLES: Final = frozenset({"AUTH_PORT", "AUTH_DATABASE_URL", "MIGRATE", ENV_FILE})
"""Variables of `make run` and of `--env-file`. `Settings` does not read them."""

NEAR: Final = 0.85  # difflib's ratio: allows one wrong letter in seven, or a missing underscore
NOT_MISSPELT: Final = frozenset({"better_auth_secrets"})  # close to a setting, but a variable of Better Auth


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a process."""

    database: DatabaseAddress
    database_direct: DatabaseAddress  # without a pooler, for migrations
    auth: AuthSettings
    server: ServerSettings
    cors_origins: tuple[str, ...]
    request_timeout: int  # seconds for all database work of a request
    pool_size: int  # open database connections of a process
    person_concurrency: int  # concurrent statements of one person, in a process
    rate_limits: RateLimits
    live: LiveSettings
    body_timeout: int  # seconds within which a whole body must arrive
    max_tasks: int  # of one person, including the trash
    max_keys: int  # idempotency keys of one person within 24 hours
    max_kept_mb: int  # of the stored responses of one person
    require_if_match: bool
    problem_base_url: str  # base URL of the pages of problem types; empty: this service's own pages
    log_level: str
    log_format: str  # json or console
    telemetry: TelemetrySettings

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings.

        Raises:
            SettingsError: with every variable that is missing, invalid, or contradicts another.
        """
        reader = EnvironmentReader(env)
        database, direct = read_database(reader)
        auth = read_auth(reader)
        rate_limits = read_rate_limits(reader)
        settings = cls(
            database=database,  # type: ignore[arg-type]  # None only with an error, which is raised below
            database_direct=direct,  # type: ignore[arg-type]  # the same
            auth=auth,  # type: ignore[arg-type]  # the same
            server=read_server(reader),
            cors_origins=reader.read("CORS_ORIGINS", origins, _origin_of_better_auth(reader)),
            request_timeout=reader.read("REQUEST_TIMEOUT", number(1, 300), 5),
            pool_size=reader.read("POOL_SIZE", number(1, 1000), 10),
            person_concurrency=reader.read("PERSON_CONCURRENCY", number(1, 1000), 4),
            rate_limits=rate_limits,
            live=read_live(reader, rate_limits),
            body_timeout=reader.read("BODY_TIMEOUT", number(1, 3600), 10),
            max_tasks=reader.read("MAX_TASKS", number(1, 10_000_000), 100_000),
            max_keys=reader.read("MAX_KEYS", number(1, 1_000_000), 10_000),
            max_kept_mb=reader.read("MAX_KEPT_MB", number(8, 100_000), 32),
            require_if_match=reader.read("REQUIRE_IF_MATCH", flag, False),  # noqa: FBT003 - the default
            problem_base_url=reader.read("PROBLEM_BASE_URL", _parse_base_url, ""),
            log_level=reader.read("LOG_LEVEL", one_of("debug", "info", "warning", "error"), "info"),
            log_format=reader.read("LOG_FORMAT", one_of("json", "console"), _default_log_format()),
            telemetry=read_telemetry(reader),
        )
        if reader.errors:
            raise SettingsError(reader.errors)
        return settings


def near_misses(env: Mapping[str, str]) -> list[str]:
    """Return a message for each variable that is close to the name of a setting, with that name.

    All variables in `.env` are checked. Other variables may belong to other programs, so they are reported
    only if the setting itself is not set.
    """
    with suppress(SettingsError):
        Settings.from_env({})  # registers every name in `EnvironmentReader.names`
    known, file_variables = EnvironmentReader.names | OTHER_VARIABLES, read_env_file()
    return [
        f"{name} is no setting: did you mean {near[0]}?"
        for name in sorted(env)
        if name not in known and name.lower() not in NOT_MISSPELT
        if (near := get_close_matches(name.upper(), known, n=1, cutoff=NEAR))
        if name in file_variables or not env.get(near[0])
    ]


def read_database(reader: EnvironmentReader) -> tuple[DatabaseAddress | None, DatabaseAddress | None]:
    """Read the address for requests and the one for migrations."""
    database = reader.read("DATABASE_URL", DatabaseAddress.parse, None)
    if not reader.get("DATABASE_URL"):
        reader.add("DATABASE_URL", "is not set: paste the address that Neon's console shows")
    direct = reader.read(
        "DATABASE_URL_DIRECT", DatabaseAddress.parse, database.direct() if database else None
    )
    if direct and reader.get("DATABASE_URL_DIRECT"):
        direct = replace(direct, setting="DATABASE_URL_DIRECT")
    return database, direct


def _default_log_format() -> str:
    return "console" if sys.stdout is not None and sys.stdout.isatty() else "json"


def _origin_of_better_auth(reader: EnvironmentReader) -> tuple[str, ...]:
    try:
        return (origin(web_address(reader.get("BETTER_AUTH_URL") or "")),)
    except ValueError:
        return ()


def _parse_base_url(text: str) -> str:
    return web_address(text).geturl().rstrip("/")
