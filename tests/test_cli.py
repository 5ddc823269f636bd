"""The command line. A command that fails prints all errors in one message, without a traceback.

It exits with 1, or with 2 if its arguments are wrong.
"""

import asyncio
import os
import platform
import re
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import asyncpg
import jwt
import pytest

from app.cli.preflight import check_database, check_settings, security_warnings
from app.settings import Settings, SettingsError
from app.settings.database_address import DatabaseAddress, difference
from app.settings.environment import environment
from dev.postgres import PostgresServer, free_port
from tests.conftest import environment_for
from tests.support.factories import someone
from tests.support.people import ORIGIN, SECRET
from tests.support.servers.migrated import migrated_database
from tests.support.servers.service import BARE_ENVIRONMENT, app, serving

AUTH = {"BETTER_AUTH_SECRET": SECRET.decode(), "JWT_ISSUER": ORIGIN, "JWT_AUDIENCE": ORIGIN}


def error_of(env: dict[str, str], folder: Path, *verb: str) -> str:
    """Run a command that must fail, `serve` if none is given, and return its standard error."""
    done = app(*(verb or ("serve",)), env=env, cwd=folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    return done.stderr


@pytest.mark.parametrize("verb", ["serve", "migrate", "purge", "resync", "openapi", "token"])
def test_each_command_prints_its_help(tmp_path: Path, verb: str) -> None:
    done = app(verb, "--help", env={}, cwd=tmp_path)

    assert (done.returncode, done.stdout.startswith(f"usage: app {verb}")) == (0, True)


PRINT_MODULES = "import sys\nfrom app.cli import main\ntry: main()\nfinally: print(*sys.modules)"


@pytest.mark.parametrize("verb", ["migrate", "purge", "resync"])
def test_the_maintenance_commands_do_not_import_litestar(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_MODULES, verb, "--help"],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )

    modules = done.stdout.splitlines()[-1].split()
    assert f"app.cli.{verb}" in modules
    assert "litestar.dto" not in modules  # `app.cli` puts None in the place of `litestar` itself


def test_all_invalid_settings_are_reported_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = error_of(
            {"DATABASE_URL": "nonsense", "BETTER_AUTH_SECRET": "short", "PORT": str(port)}, tmp_path
        )

    assert [line.split()[0] for line in message.splitlines()[1:]] == [
        "DATABASE_URL",
        "BETTER_AUTH_SECRET",
        "PORT",
    ]
    assert f"PORT {port} is used by another program" in message


def test_a_listen_address_of_another_machine_is_reported(tmp_path: Path) -> None:
    env = {
        **AUTH,
        "DATABASE_URL": f"postgresql://a@127.0.0.1:{free_port()}/x",
        "HOST": "192.0.2.1",
        "ALLOWED_HOSTS": "x",
    }

    assert "HOST 192.0.2.1 is not an address of this machine" in error_of(env, tmp_path)


def test_settings_are_read_from_a_dotenv_file_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BETTER_AUTH_SECRET=short\nDATABASE_URL=nonsense\n")

    message = error_of({"DATABASE_URL": "worse://x"}, tmp_path)

    assert "BETTER_AUTH_SECRET has 5 bytes" in message
    assert "worse://" in message


def test_a_dotenv_file_in_a_folder_above_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=nonsense\n")
    folder = tmp_path / "below"
    folder.mkdir()

    assert "DATABASE_URL is not set" in error_of({}, folder)


@pytest.mark.parametrize(
    "verb", [["serve"], ["migrate"], ["purge", "--older-than", "30d"], ["resync"], ["token", "--user", "a"]]
)
def test_each_command_with_settings_reads_the_named_file_and_no_other(
    tmp_path: Path, verb: list[str]
) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=other://x\nBETTER_AUTH_SECRET=of-the-other\n")
    (tmp_path / "named").write_text("DATABASE_URL=named://x\nBETTER_AUTH_SECRET=short\n")

    message = error_of({}, tmp_path, *verb, "--env-file", "named")

    assert ("named://" in message) or ("has 5 bytes" in message)
    assert "other://" not in message
    assert "12 bytes" not in message  # the length of the other secret


def test_a_missing_settings_file_stops_the_start(tmp_path: Path) -> None:
    message = error_of({}, tmp_path, "serve", "--env-file", "absent")

    assert f"the file {tmp_path / 'absent'} cannot be read (No such file or directory)" in message


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("arguments", [[], ["--env-file", ".env"]])
def test_a_settings_file_that_other_users_may_write_stops_the_start(
    tmp_path: Path, mode: int, arguments: list[str]
) -> None:
    file = tmp_path / ".env"
    file.write_text("BETTER_AUTH_SECRET=short\n")
    file.chmod(mode)

    assert f"{file} can be written by other users: chmod go-w {file}" in error_of(
        {}, tmp_path, "serve", *arguments
    )


def test_a_settings_file_of_another_user_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("BETTER_AUTH_SECRET=short\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("app.settings.environment.os.geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr("app.settings.environment.ROOT", os.getuid() + 1)

    with pytest.raises(SettingsError, match="belongs to another user"):
        environment()


def test_unreadable_lines_of_a_settings_file_are_reported_by_number_and_never_quoted(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("A=1\n\n# x\nSECRET hunter2\nB=2\nhunter3\n\nC='hunter4\n")

    message = error_of({}, tmp_path, "serve")

    file = tmp_path / ".env"
    assert message.splitlines()[1:] == [f"  {file} has no NAME=value in line {line}" for line in (4, 6, 8)]
    assert "hunter" not in message


@pytest.mark.parametrize(
    ("mode", "name", "warned"),
    [
        (0o644, "BETTER_AUTH_SECRET", True),
        (0o604, "DATABASE_URL", True),
        (0o640, "BETTER_AUTH_SECRET", False),
        (0o600, "BETTER_AUTH_SECRET", False),
        (0o644, "PORT", False),
    ],
)
def test_a_settings_file_with_secrets_that_every_user_can_read_causes_a_warning_with_the_chmod_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, name: str, *, warned: bool
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"{name}={'1' * 40}\n")
    file.chmod(mode)
    monkeypatch.chdir(tmp_path)
    env = {**AUTH, "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x", "PORT": str(free_port())}

    _, warnings = check_settings(env)
    shown = [each for each in warnings if "every user" in each]

    assert shown == (
        [f"{file} holds {name} and can be read by every user: chmod 600 {file}"] if warned else []
    )


def test_names_that_a_file_sets_twice_cause_a_warning_with_their_lines_but_not_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text(
        f"MAX_TASKS=5\n# a comment\n\nLOG_LEVEL=info\nMAX_TASKS=6\nPORT={free_port()}\nMAX_TASKS=7\n"
    )
    file.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    env = {**AUTH, "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x", **environment()}

    settings, warnings = check_settings(env)

    assert [each for each in warnings if str(file) in each] == [
        f"{file} sets MAX_TASKS more than once (lines 1, 5, 7): the last one counts"
    ]
    assert settings.max_tasks == 7


@pytest.mark.parametrize("verb", [["migrate"], ["purge", "--older-than", "1d"], ["resync"]])
def test_maintenance_commands_print_the_database_and_the_setting_that_names_it(
    tmp_path: Path, verb: list[str]
) -> None:
    url, direct = "postgresql://a:hunter2@127.0.0.1:1/x", "postgresql://a:hunter2@127.0.0.1:2/x"

    message = error_of({"DATABASE_URL": url}, tmp_path, *verb).splitlines()
    message_of_direct = error_of({"DATABASE_URL": url, "DATABASE_URL_DIRECT": direct}, tmp_path, *verb)

    assert message[0] == f"app {verb[0]}: the database is x on 127.0.0.1:1 (DATABASE_URL)"
    assert len(message) == 2
    assert message_of_direct.startswith(
        f"app {verb[0]}: the database is x on 127.0.0.1:2 (DATABASE_URL_DIRECT)\n"
    )
    assert "hunter2" not in message_of_direct


NEON = "postgresql://a:b@ep-cool-1{}.eu-central-1.aws.neon.tech/{}"


@pytest.mark.parametrize(
    ("database", "direct", "expected"),
    [
        (NEON.format("-pooler", "x"), NEON.format("", "x"), None),
        (NEON.format("-pooler", "x"), NEON.format("-pooler", "x"), None),
        (NEON.format("", "x"), NEON.format("-pooler", "x"), None),
        ("postgresql://a:b@localhost:6432/x", "postgresql://a:b@127.0.0.1/x", None),
        ("postgresql://a:b@pooler.example.com/x?pgbouncer=true", "postgresql://a:b@db.example.com/x", None),
        ("postgresql://a:b@DB.example.com/x", "postgresql://c:d@db.example.com:5433/x", None),
        (
            NEON.format("-pooler", "x"),
            NEON.format("", "y"),
            "DATABASE_URL_DIRECT names y on ep-cool-1.eu-central-1.aws.neon.tech, and DATABASE_URL x on",
        ),
        (
            NEON.format("-pooler", "x"),
            "postgresql://a:b@ep-old-2.eu-central-1.aws.neon.tech/x",
            "DATABASE_URL_DIRECT names x on ep-old-2.eu-central-1.aws.neon.tech",
        ),
        (
            "postgresql://a:b@db.example.com/x",
            "postgresql://a:b@old.example.com/x",
            "(if that is a PgBouncer, add pgbouncer=true to DATABASE_URL)",
        ),
        (
            "postgresql://a:b@pooler.example.com/x?pgbouncer=true",
            "postgresql://a:b@db.example.com/y",
            "DATABASE_URL_DIRECT names y on db.example.com",
        ),
    ],
)
def test_a_direct_url_of_another_database_or_host_causes_a_warning(
    database: str, direct: str, expected: str | None
) -> None:
    settings = Settings.from_env({**AUTH, "DATABASE_URL": database, "DATABASE_URL_DIRECT": direct})

    warning = difference(settings.database, settings.database_direct)

    if expected is None:
        assert warning is None
    else:
        assert expected in (warning or "")


def test_the_start_and_maintenance_commands_warn_that_the_direct_url_is_of_another_database(
    tmp_path: Path,
) -> None:
    env = {
        **AUTH,
        "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x",
        "DATABASE_URL_DIRECT": "postgresql://a:b@127.0.0.1:1/y",
        "PORT": str(free_port()),
    }
    expected = "DATABASE_URL_DIRECT names y on 127.0.0.1, and DATABASE_URL x on 127.0.0.1"

    _, warnings = check_settings(env)

    assert any(each.startswith(expected) for each in warnings)
    assert f"\nwarning: {expected}" in error_of(env, tmp_path, "migrate")


@pytest.mark.server
def test_a_role_that_may_not_migrate_or_purge_gets_a_message_with_the_missing_right_and_its_fix(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    def message_to(role: str, url: str, *verb: str) -> str:
        """Run a command as this role, and return its error."""
        return error_of({"DATABASE_URL": re.sub(r"//[^@]*@", f"//{role}:x@", url)}, tmp_path, *verb)

    empty, migrated = postgres.new_database(), postgres.new_database()
    assert app("migrate", env={"DATABASE_URL": migrated}, cwd=tmp_path).returncode == 0
    name_of_empty, name_of_migrated = (url.rpartition("/")[2] for url in (empty, migrated))
    plain, owner = (f"{kind}_{name_of_empty}" for kind in ("plain", "owner"))
    postgres.query(
        f"CREATE ROLE {plain} LOGIN PASSWORD 'x'; CREATE ROLE {owner} LOGIN PASSWORD 'x';"
        f"ALTER DATABASE {name_of_empty} OWNER TO {owner}; REVOKE CREATE ON SCHEMA public FROM public",
        name_of_empty,
    )
    postgres.query(f"GRANT SELECT ON taskward_version TO {plain}", name_of_migrated)

    assert "use the role that owns the database and its tables" in message_to(plain, empty, "migrate")
    grant = f'GRANT taskward_app, taskward_maintenance TO "{owner}"'
    assert f"use the role that created these roles, or have that role run {grant}" in message_to(
        owner, empty, "migrate"
    )
    for verb in (["migrate"], ["purge", "--older-than", "1d"], ["migrate", "--down-to", "base"]):
        assert f"DATABASE_URL names the role {plain}, which lacks a right (" in message_to(
            plain, migrated, *verb
        )
    postgres.query(grant, name_of_empty)
    assert (
        "applied 0001"
        in app(
            "migrate", env={"DATABASE_URL": re.sub(r"//[^@]*@", f"//{owner}:x@", empty)}, cwd=tmp_path
        ).stdout
    )


@pytest.mark.server
def test_given_a_database_url_from_the_environment_then_the_direct_url_of_the_file_is_ignored(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    old, new = postgres.new_database(), postgres.new_database()
    (tmp_path / ".env").write_text(f"DATABASE_URL={old}\nDATABASE_URL_DIRECT={old}\n")

    migrated = app("migrate", env={"DATABASE_URL": new}, cwd=tmp_path)

    assert migrated.stdout.startswith("applied 0001")
    assert app("migrate", "--check", env={"DATABASE_URL": new}, cwd=tmp_path).returncode == 0
    assert app("migrate", "--check", env={}, cwd=tmp_path).returncode == 3


def test_given_the_same_database_in_environment_and_file_then_the_direct_url_of_the_file_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=one\nDATABASE_URL_DIRECT=its direct one\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL_DIRECT", raising=False)
    read = []
    for given in ("one", "", "another"):
        monkeypatch.setenv("DATABASE_URL", given)
        read.append(environment().get("DATABASE_URL_DIRECT"))

    assert read == ["its direct one", "its direct one", None]


@pytest.mark.server
@pytest.mark.quiet  # if the database answers too late, the start waits instead of reporting the error
def test_a_wrong_direct_url_is_reported_with_the_name_of_its_setting(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    wrong = f"postgresql://taskward:hunter2@127.0.0.1:{postgres.port}/taskward"
    env = environment_for(postgres.new_database(), DATABASE_URL_DIRECT=wrong)

    for verb in (["serve"], ["migrate"], ["purge", "--older-than", "1d"]):
        message = error_of(env, tmp_path, *verb)

        assert "DATABASE_URL_DIRECT has a user or password that 127.0.0.1 refuses" in message
        assert "DATABASE_URL has" not in message
        assert "hunter2" not in message


@pytest.mark.server
def test_a_purge_before_any_migration_says_to_run_app_migrate(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    message = error_of({"DATABASE_URL": postgres.new_database()}, tmp_path, "purge", "--older-than", "1d")

    assert message.splitlines()[1:] == [
        "app purge: the database has no tables of Taskward yet: run `app migrate`"
    ]


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        ({"JWKS_URL": "http://auth.example.com/jwks"}, "the key set is fetched over plain http"),
        (
            {"DATABASE_URL": "postgresql://a:b@db.example.com/x?sslmode=disable"},
            "DATABASE_URL has sslmode=disable",
        ),
        (
            {"RATE_LIMIT_STORE": "redis://cache.example.com"},
            "RATE_LIMIT_STORE is on another machine without TLS",
        ),
        (
            {"RATE_LIMIT_STORE": "valkey://cache.example.com"},
            "RATE_LIMIT_STORE is on another machine without TLS",
        ),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0"}, "TRUSTED_PROXIES has every address"),
        ({"TRUSTED_PROXIES": "::/0"}, "TRUSTED_PROXIES has every address"),
        ({"BETTER_AUTH_SECRET": "a" * 37}, "BETTER_AUTH_SECRET can be guessed"),
        ({"METRICS_PORT": "9000", "METRICS_HOST": "192.0.2.1"}, "METRICS_HOST can be reached"),
        ({"METRICS_PORT": "9000"}, None),
        ({"METRICS_HOST": "192.0.2.1"}, None),
        ({"TRUSTED_PROXIES": "10.0.0.0/8"}, None),
        ({"JWKS_URL": "https://auth.example.com/jwks"}, None),
        ({"JWKS_URL": "http://127.0.0.1:3000/jwks"}, None),
        ({"DATABASE_URL": "postgresql://a:b@db.example.com/x"}, None),
        ({"DATABASE_URL": "postgresql://a:b@localhost/x?sslmode=disable"}, None),
        ({"RATE_LIMIT_STORE": "rediss://cache.example.com"}, None),
        ({"RATE_LIMIT_STORE": "redis://[::1]"}, None),
        ({"RATE_LIMIT_STORE": "redis://cache.example.com", "RATE_LIMIT": "off"}, None),
    ],
)
def test_a_setting_that_gives_access_to_others_causes_a_warning(
    more: dict[str, str], warning: str | None
) -> None:
    settings = Settings.from_env({**AUTH, "DATABASE_URL": "postgresql://a:b@127.0.0.1/x", **more})

    found = security_warnings(settings)

    assert len(found) == (warning is not None)
    assert all(each.startswith(warning or "") for each in found)


def test_the_check_of_the_settings_warns_about_access_for_others() -> None:
    env = {
        **AUTH,
        "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x",
        "JWKS_URL": "http://auth.example.com/jwks",
    }

    _, warnings = check_settings({**env, "PORT": str(free_port())})

    assert any(each.startswith("the key set is fetched over plain http") for each in warnings)


@pytest.mark.server
def test_a_wrong_password_or_database_is_reported_before_the_start(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    wrong = f"postgresql://taskward:hunter2@127.0.0.1:{postgres.port}/taskward"

    for verb in ("serve", "migrate"):
        message = error_of({**AUTH, "DATABASE_URL": wrong}, tmp_path, verb)
        assert "DATABASE_URL has a user or password" in message
        assert "hunter2" not in message
    assert "does not have" in error_of({**AUTH, "DATABASE_URL": postgres.url_of("nowhere")}, tmp_path)


@pytest.mark.server
@pytest.mark.quiet  # if the database answers too late, the start waits instead of reporting the error
def test_pending_migrations_or_broken_row_level_security_stop_the_start_with_a_fix(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.new_database()
    env = environment_for(url)
    where = f"{url.rpartition('/')[2]} on 127.0.0.1:{postgres.port}"

    assert "migrations are waiting: run `app migrate`" in error_of(env, tmp_path)
    assert app("migrate", "--check", env=env, cwd=tmp_path).returncode == 3
    first, second = (app("migrate", env=env, cwd=tmp_path) for _ in range(2))
    assert first.stdout.startswith("applied 0001: the table of tasks, and its wall\napplied 0002: ")
    assert second.stdout == "nothing is waiting\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert second.stderr == f"app migrate: the database is {where} (DATABASE_URL)\n"
    assert app("migrate", "--check", env=env, cwd=tmp_path).returncode == 0
    postgres.query("ALTER TABLE tasks DISABLE ROW LEVEL SECURITY", url.rpartition("/")[2])
    assert "repair it with: ALTER TABLE tasks ENABLE ROW LEVEL SECURITY" in error_of(env, tmp_path)


@pytest.mark.server
async def test_a_role_that_may_not_read_the_version_is_reported_with_the_grant_to_run(
    database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    owner = await asyncpg.connect(database_url)
    role = f"weak_{someone().replace('-', '_')}"[:60]
    await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'weak'")
    for right in (
        "USAGE ON SCHEMA public",
        "ALL ON own_tasks, own_task_owners, own_kept_answers, own_ended_tasks",
    ):
        await owner.execute(f"GRANT {right} TO {role}")
    weak = re.sub(r"//[^@]+@", f"//{role}:weak@", database_url)

    failed_start = app("serve", env=environment_for(weak), cwd=tmp_path)
    await owner.execute(f"GRANT SELECT ON taskward_version TO {role}")
    with serving(environment_for(weak), tmp_path):
        pass
    await owner.close()

    assert failed_start.returncode == 1
    assert f'run GRANT SELECT ON taskward_version TO "{role}"' in failed_start.stderr


@pytest.mark.server
async def test_a_database_that_does_not_respond_causes_a_warning_and_delays_the_start_only_briefly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.cli.preflight.PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = DatabaseAddress.parse(f"postgresql://ann:x@127.0.0.1:{silent.getsockname()[1]}/db")

        async with asyncio.timeout(2):
            faults, warnings = await check_database(address, address)

    assert faults == []
    why = f"since 127.0.0.1:{address.port} does not answer"
    assert warnings == [f"the database cannot be reached yet, {why}: answering 503 until it is there"]


@pytest.mark.server
async def test_a_table_of_another_program_with_the_same_name_is_reported_and_not_changed(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.new_database()
    name = url.rpartition("/")[2]
    postgres.query("CREATE TABLE tasks (theirs int)", name)

    message = error_of({**AUTH, "DATABASE_URL": url}, tmp_path, "migrate")

    assert "tasks" in message
    columns = "SELECT string_agg(column_name, ' ') FROM information_schema.columns WHERE table_name = 'tasks'"
    assert postgres.query(columns, name) == "theirs"
    assert postgres.query("SELECT count(*) FROM tasks", name) == "0"


@pytest.mark.server
async def test_a_database_can_be_downgraded_but_not_to_an_unknown_version(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = await migrated_database(postgres)

    assert app("migrate", "--down-to", "base", env={"DATABASE_URL": url}, cwd=tmp_path).returncode == 0
    assert app("migrate", "--check", env={"DATABASE_URL": url}, cwd=tmp_path).returncode == 3
    assert "nonsense" in error_of({"DATABASE_URL": url}, tmp_path, "migrate", "--down-to", "nonsense")


def test_a_token_is_made_with_the_secret(tmp_path: Path) -> None:
    done = app("token", "--user", "ann", "--ttl", "2h", env=AUTH, cwd=tmp_path)

    claims = jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"], issuer=ORIGIN, audience=ORIGIN)
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("ann", 7200)


def test_no_token_is_made_without_a_secret_or_for_an_invalid_user_or_lifetime(tmp_path: Path) -> None:
    assert "BETTER_AUTH_SECRET is not set" in error_of(
        {"BETTER_AUTH_URL": ORIGIN}, tmp_path, "token", "--user", "ann"
    )
    assert "--user must have" in error_of(AUTH, tmp_path, "token", "--user", "a\nb")
    assert app("token", "--user", "ann", "--ttl", "soon", env=AUTH, cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("ttl", ["86401s", "1441m", "25h", "2d", "99999d"])
def test_a_token_that_would_last_longer_than_a_day_is_refused_in_one_line(tmp_path: Path, ttl: str) -> None:
    done = app("token", "--user", "ann", "--ttl", ttl, env=AUTH, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"argument --ttl: {ttl!r} is too long: a token lasts at most 1d\n")


@pytest.mark.parametrize("target", ["app.main:app", "main:app"])
def test_uvicorn_finds_the_application_without_a_warning(tmp_path: Path, target: str) -> None:
    source = Path(__file__).parent.parent / "src"
    env = {**BARE_ENVIRONMENT, **AUTH, "DATABASE_URL": "postgresql://a@127.0.0.1:1/x"}
    command = [sys.executable, "-m", "uvicorn", target, "--port", str(free_port()), "--lifespan", "on"]
    cwd = source / "app" if target == "main:app" else source
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "Uvicorn running" in line:
            break
    process.terminate()
    rest = process.communicate(timeout=20)[1]
    message = "".join(lines) + rest

    assert "Uvicorn running" in message
    assert not [line for line in message.splitlines() if re.search("error|warning", line, re.IGNORECASE)]


def test_under_uvicorn_a_settings_file_that_everybody_can_write_is_one_message_without_a_traceback(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://a@127.0.0.1:1/x\n")
    (tmp_path / ".env").chmod(0o666)
    command = [sys.executable, "-m", "uvicorn", "app.main:app"]

    done = subprocess.run(
        command, env=BARE_ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert f"chmod go-w {tmp_path}/.env" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("--version",), ("--help",)])
def test_app_prints_its_version_and_its_help(tmp_path: Path, command: tuple[str]) -> None:
    done = app(*command, env={}, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    if command == ("--version",):
        assert done.stdout == f"taskward {version('taskward')} (Python {platform.python_version()})\n"
    else:
        assert done.stdout.startswith("usage: app ")


def test_an_openapi_document_that_cannot_be_written_causes_a_one_line_error(tmp_path: Path) -> None:
    for place, why in (
        (tmp_path / "nowhere" / "x", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        message = error_of({}, tmp_path, "openapi", "--output", str(place))

        assert message == f"app openapi: {place} cannot be written: {why}\n"


@pytest.mark.server
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("db.invalid", "since db.invalid is a name that cannot be looked up (is it spelt right?)"),
        ("127.0.0.1:1", "since nothing listens on 127.0.0.1:1"),
        ("localhost:1", "since nothing listens on localhost:1"),
    ],
)
def test_an_unreachable_database_is_reported_with_the_cause(tmp_path: Path, place: str, why: str) -> None:
    env = {**AUTH, "DATABASE_URL": f"postgresql://ann:hunter2@{place}/db?sslmode=disable"}

    assert error_of(env, tmp_path, "migrate").splitlines()[1:] == [
        f"Taskward cannot start: the database cannot be reached, {why}: try again"
    ]
    assert error_of(env, tmp_path, "purge", "--older-than", "1d").splitlines()[1:] == [
        f"app purge: nothing was deleted, {why}"
    ]
    with serving({**env, "LOG_FORMAT": "json"}, tmp_path) as service:
        pass
    assert (
        f"warning: the database cannot be reached yet, {why}: answering 503 until it is there\n"
        in service.log.read_text()
    )
    assert "hunter2" not in service.log.read_text()
