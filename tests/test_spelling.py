"""A variable that resembles a setting is reported, with the setting that was probably meant."""

from pathlib import Path

import pytest

from app.settings import near_misses
from app.settings.environment import EnvironmentReader
from tests.support.servers.service import app
from tests.test_cli import AUTH

GOOD = {"DATABASE_URL": "postgresql://ann@localhost/db", "BETTER_AUTH_URL": "https://app.example.com"}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test where no `.env` is read."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    {
        "RATELIMIT": "RATE_LIMIT",
        "RATE_LIMITS": "RATE_LIMIT",
        "RATE_LIMIT_PERSONS": "RATE_LIMIT_PERSON",
        "TRUSTED_PROXY": "TRUSTED_PROXIES",
        "WEB_CONCURENCY": "WEB_CONCURRENCY",
        "JWT_ISUER": "JWT_ISSUER",
        "CORS_ORIGIN": "CORS_ORIGINS",
        "ALLOWED_HOST": "ALLOWED_HOSTS",
        "LOGLEVEL": "LOG_LEVEL",
        "log_level": "LOG_LEVEL",
        "METRIC_PORT": "METRICS_PORT",
        "AUTHPORT": "AUTH_PORT",
    }.items(),
)
def test_a_misspelt_setting_is_reported(wrong: str, meant: str) -> None:
    assert near_misses({**GOOD, wrong: "x"}) == [f"{wrong} is no setting: did you mean {meant}?"]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PATH",
            "HOME",
            "HOSTNAME",
            "LOGNAME",
            "LANG",
            "SHELL",
            "PWD",
            "USER",
            "TERM",
            "SHLVL",
            "TMPDIR",
            "OLDPWD",
        ),
        *(
            "OTEL_SERVICE_NAME",
            "SSL_CERT_FILE",
            "POSTGRES_URL",
            "PGHOST",
            "DATABASE_URL_TEST",
            "NEXT_PUBLIC_API_URL",
        ),
        *(
            "BETTER_AUTH_TRUSTED_ORIGINS",
            "BETTER_AUTH_SECRETS",
            "NODE_ENV",
            "PYTHONPATH",
            "KUBERNETES_PORT",
            "STATE_DIR",
        ),
    ],
)
def test_a_variable_of_another_program_is_not_reported(name: str) -> None:
    assert near_misses({**GOOD, name: "x"}) == []


def test_if_the_setting_itself_is_set_only_misspelt_names_in_the_dotenv_file_are_reported(
    tmp_path: Path,
) -> None:
    env = {**GOOD, "DATABASE_URLS": "x"}
    assert near_misses(env) == []

    (tmp_path / ".env").write_text("DATABASE_URLS=x\n")
    assert near_misses(env) == ["DATABASE_URLS is no setting: did you mean DATABASE_URL?"]


def test_no_setting_looks_like_a_misspelling_of_another() -> None:
    near_misses({})  # registers the name of each setting

    assert all(near_misses({name: "x"}) == [] for name in EnvironmentReader.names)


def test_a_failed_start_lists_its_errors_without_values(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABSE_URL=postgresql://ann:hunter2@host/db\nRATELIMIT=off\n")

    for verb in ("serve", "migrate"):
        done = app(verb, env=AUTH, cwd=tmp_path)

        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            "Taskward cannot start:",
            "  DATABASE_URL is not set: paste the address that Neon's console shows",
            "  DATABSE_URL is no setting: did you mean DATABASE_URL?",
            "  RATELIMIT is no setting: did you mean RATE_LIMIT?",
        ]
