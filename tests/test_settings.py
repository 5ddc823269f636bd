"""Settings: everything wrong is named at once, and nothing has a secret for a default."""

import pytest

from app.settings import Settings, SettingsError
from app.settings.database_address import DatabaseAddress, MalformedAddress

NEON = "postgresql://ann:p%40ss@ep-x-pooler.region.aws.neon.tech/db?sslmode=require&channel_binding=require"
GOOD = {"DATABASE_URL": NEON, "BETTER_AUTH_URL": "https://app.example.com"}


def faults_of(**env: str) -> list[str]:
    try:
        Settings.from_env(env)
    except SettingsError as error:
        return error.faults
    return []


def test_neons_address_is_taken_as_it_is_pasted() -> None:
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
def test_each_source_of_trust_says_whose_tokens_are_believed(
    env: dict[str, str], issuer: str, jwks: str | None
) -> None:
    trust = Settings.from_env({"DATABASE_URL": NEON, **env}).trust

    assert (trust.issuer, trust.audience, trust.jwks_url) == (issuer, issuer, jwks)


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
        (
            {"DATABASE_URL": "mysql://x", "BETTER_AUTH_SECRET": "x", "PORT": "x", "LOG_FORMAT": "x"},
            ["DATABASE_URL", "BETTER_AUTH_SECRET", "PORT", "LOG_FORMAT"],
        ),
    ],
    ids=str,
)
def test_each_variable_that_is_missing_or_wrong_is_named(env: dict[str, str], variables: list[str]) -> None:
    assert [fault.split()[0] for fault in faults_of(**env)] == variables


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
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(MalformedAddress):
        DatabaseAddress.parse(url)


def test_a_fault_never_quotes_a_password_or_secret() -> None:
    told = faults_of(DATABASE_URL="postgresql://ann:hunter2@host/db?x=1", BETTER_AUTH_SECRET="swordfish")

    assert "hunter2" not in str(told)
    assert "swordfish" not in str(told)


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
def test_without_a_word_about_tls_it_is_demanded_everywhere_but_on_this_machine(url: str, tls: bool) -> None:  # noqa: FBT001
    assert DatabaseAddress.parse(url).tls is tls
