"""Settings: all errors are reported at once, and no secret has a default."""

from pathlib import Path

import pytest

from app.settings import Settings, SettingsError
from app.settings.database_address import DatabaseAddress, MalformedAddress
from app.settings.rate_limits import Quota

NEON = "postgresql://ann:p%40ss@ep-x-pooler.region.aws.neon.tech/db?sslmode=require&channel_binding=require"
GOOD = {"DATABASE_URL": NEON, "BETTER_AUTH_URL": "https://app.example.com"}


def errors_of(**env: str) -> list[str]:
    """Return the errors of these settings; none, if all are valid."""
    try:
        Settings.from_env(env)
    except SettingsError as error:
        return error.errors
    return []


def test_the_url_of_neon_is_accepted_as_pasted() -> None:
    settings = Settings.from_env(GOOD)

    assert settings.database.host == "ep-x-pooler.region.aws.neon.tech"
    assert (settings.database.user, settings.database.password) == ("ann", "p@ss")
    assert (settings.database.tls, settings.database.pooled, settings.database.port) == (True, True, 5432)
    assert settings.database_direct.host == "ep-x.region.aws.neon.tech"
    assert "p@ss" not in repr(settings)


@pytest.mark.parametrize(
    ("env", "issuer", "jwks"),
    [
        ({"BETTER_AUTH_URL": "https://x.example"}, "https://x.example", "https://x.example/api/auth/jwks"),
        ({"BETTER_AUTH_URL": "https://x.example/"}, "https://x.example", "https://x.example/api/auth/jwks"),
        (
            {"BETTER_AUTH_URL": "http://X.example:80/my/auth/"},
            "http://x.example",
            "http://x.example/my/auth/jwks",
        ),
        (
            {"BETTER_AUTH_URL": "http://localhost:3000"},
            "http://localhost:3000",
            "http://localhost:3000/api/auth/jwks",
        ),
        (
            {"NEON_AUTH_URL": "https://ep-x.neon.tech/db/auth"},
            "https://ep-x.neon.tech",
            "https://ep-x.neon.tech/db/auth/.well-known/jwks.json",
        ),
        (
            {"JWKS_URL": "https://k.example/k", "JWT_ISSUER": "i", "JWT_AUDIENCE": "i"},
            "i",
            "https://k.example/k",
        ),
        ({"BETTER_AUTH_SECRET": "x" * 32, "JWT_ISSUER": "i", "JWT_AUDIENCE": "i"}, "i", None),
    ],
    ids=str,
)
def test_each_auth_setting_determines_the_accepted_issuer(
    env: dict[str, str], issuer: str, jwks: str | None
) -> None:
    auth = Settings.from_env({"DATABASE_URL": NEON, **env}).auth

    assert (auth.issuer, auth.audience, auth.jwks_url) == (issuer, issuer, jwks)


@pytest.mark.parametrize(
    ("env", "variables"),
    [
        ({}, ["DATABASE_URL", "BETTER_AUTH_URL"]),
        ({"DATABASE_URL": NEON}, ["BETTER_AUTH_URL"]),
        ({"DATABASE_URL": NEON, "BETTER_AUTH_SECRET": "x" * 32}, ["JWT_ISSUER", "JWT_AUDIENCE"]),
        ({**GOOD, "NEON_AUTH_URL": "https://ep-x.neon.tech/db/auth"}, ["NEON_AUTH_URL"]),
        ({**GOOD, "BETTER_AUTH_SECRET": "short"}, ["BETTER_AUTH_SECRET"]),
        ({**GOOD, "BETTER_AUTH_SECRET_PREVIOUS": "x" * 32}, ["BETTER_AUTH_SECRET_PREVIOUS"]),
        (
            {**GOOD, "BETTER_AUTH_SECRET": "x" * 32, "BETTER_AUTH_SECRET_PREVIOUS": "short"},
            ["BETTER_AUTH_SECRET_PREVIOUS"],
        ),
        ({**GOOD, "LOG_USER_KEY": "short"}, ["LOG_USER_KEY"]),
        ({**GOOD, "METRICS_PORT": "no"}, ["METRICS_PORT"]),
        ({**GOOD, "METRICS_PORT": "8000"}, ["METRICS_PORT"]),
        ({**GOOD, "PORT": "9000", "METRICS_PORT": "9000"}, ["METRICS_PORT"]),
        (
            {**GOOD, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            ["OTEL_EXPORTER_OTLP_PROTOCOL"],
        ),
        ({**GOOD, "BETTER_AUTH_URL": "app.example.com"}, ["BETTER_AUTH_URL"]),
        ({**GOOD, "CORS_ORIGINS": "*"}, ["CORS_ORIGINS"]),
        ({**GOOD, "CORS_ORIGINS": "https://x.example/path"}, ["CORS_ORIGINS"]),
        ({**GOOD, "HOST": "0.0.0.0"}, ["ALLOWED_HOSTS"]),  # noqa: S104
        ({**GOOD, "ALLOWED_HOSTS": "https://x.example"}, ["ALLOWED_HOSTS"]),
        ({**GOOD, "PORT": "http"}, ["PORT"]),
        ({**GOOD, "PORT": "70000"}, ["PORT"]),
        ({**GOOD, "LOG_LEVEL": "loud"}, ["LOG_LEVEL"]),
        ({**GOOD, "RATE_LIMIT": "maybe"}, ["RATE_LIMIT"]),
        *(
            ({**GOOD, "RATE_LIMIT_PERSON": wrong}, ["RATE_LIMIT_PERSON"])
            for wrong in ("x", "100", "0/60", "1/0", "-1/60", "1/60/60", "1/86401", "1.5/60", "²/60")
        ),
        ({**GOOD, "RATE_LIMIT_ADDRESS": "100 per minute"}, ["RATE_LIMIT_ADDRESS"]),
        *(
            ({**GOOD, "RATE_LIMIT_STORE": wrong}, ["RATE_LIMIT_STORE"])
            for wrong in (
                "localhost:6379",
                "http://x",
                "redis://",
                "redis://x:port",
                "redis://x/a",
                "redis://x?y=1",
                f"redis://{'x' * 64}.example",
            )
        ),
        ({**GOOD, "RATE_LIMIT_STORE_CA": "/nowhere"}, ["RATE_LIMIT_STORE_CA"]),
        ({**GOOD, "RATE_LIMIT_STORE": "redis://x", "RATE_LIMIT_STORE_CA": __file__}, ["RATE_LIMIT_STORE_CA"]),
        *(
            ({**GOOD, "TRUSTED_PROXIES": wrong}, ["TRUSTED_PROXIES"])
            for wrong in ("proxy", "10.0.0.1/8", "10.0.0.0/33", "*", "10.0.0.0/8;2001:db8::/32")
        ),
        ({**GOOD, "BODY_TIMEOUT": "0"}, ["BODY_TIMEOUT"]),
        (
            {"DATABASE_URL": "mysql://x", "BETTER_AUTH_SECRET": "x", "PORT": "x", "LOG_FORMAT": "x"},
            ["DATABASE_URL", "BETTER_AUTH_SECRET", "PORT", "LOG_FORMAT"],
        ),
    ],
    ids=str,
)
def test_each_missing_or_invalid_variable_is_reported(env: dict[str, str], variables: list[str]) -> None:
    assert [fault.split()[0] for fault in errors_of(**env)] == variables


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "postgresql://",
        "postgresql://host/db",
        "postgresql://ann@/db",
        "postgresql://ann@host",
        "postgresql://ann@host:port/db",
        "postgresql://ann@host/db?sslmode=prefer",
        "postgresql://ann@host/db?sslmode=require&options=-c%20x",
        "postgresql://ann@host/db?sslmode=verify-full&sslrootcert=/nowhere",
        "postgresql://ann@host/db?sslmode=disable&channel_binding=require",
        "postgresql://ann@host/db?sslmode",
        "https://host/db",
    ],
)
def test_an_invalid_database_url_is_refused(url: str) -> None:
    with pytest.raises(MalformedAddress):
        DatabaseAddress.parse(url)


def test_rate_limits_their_store_and_trusted_proxies_are_read() -> None:
    limits = Settings.from_env(
        {
            **GOOD,
            "RATE_LIMIT_PERSON": "5/10",
            "RATE_LIMIT_ADDRESS": " 50 / 20 ",
            "RATE_LIMIT_STORE": "valkeys://user:hunter2@store.example:6380/3",
            "TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::/32,192.0.2.1",
        }
    ).rate_limits

    assert (limits.is_on, limits.person, limits.address) == (True, Quota(5, 10), Quota(50, 20))
    assert limits.store == "valkeys://user:hunter2@store.example:6380/3"
    assert [str(network) for network in limits.trusted_proxies] == [
        "10.0.0.0/8",
        "2001:db8::/32",
        "192.0.2.1/32",
    ]
    assert "hunter2" not in repr(limits)


def test_a_store_url_without_a_port_gets_the_default_port_and_its_certificate_authority_is_a_file(
    tmp_path: Path,
) -> None:
    (authority := tmp_path / "root.crt").touch()

    limits = Settings.from_env(
        {**GOOD, "RATE_LIMIT_STORE": "rediss://ann:x@store.example/2", "RATE_LIMIT_STORE_CA": str(authority)}
    ).rate_limits

    assert limits.store == "rediss://ann:x@store.example:6379/2"
    assert limits.store_ca == str(authority)


def test_an_error_never_contains_a_password_or_secret() -> None:
    errors = errors_of(
        DATABASE_URL="postgresql://ann:hunter2@host/db?x=1",
        BETTER_AUTH_SECRET="swordfish",
        RATE_LIMIT_STORE="redis://ann:hunter2@host/x",
    )

    assert "hunter2" not in str(errors)
    assert "swordfish" not in str(errors)


@pytest.mark.parametrize(
    ("url", "tls"),
    [
        ("postgresql://ann@host/db", True),
        ("postgresql://ann@host/db?sslmode=verify-full", True),
        ("postgresql://ann@host/db?sslmode=disable", False),
        ("postgresql://ann@localhost/db", False),
        ("postgresql://ann@127.0.0.1/db", False),
        ("postgresql://ann@[::1]:5433/db", False),
        ("postgres://ann@localhost/db?sslmode=require", True),
    ],
)
def test_without_sslmode_tls_is_required_except_on_this_machine(url: str, tls: bool) -> None:  # noqa: FBT001
    assert DatabaseAddress.parse(url).tls is tls
