"""`make run`: everything starts and stops, no process is left running, and no data is lost."""

import asyncio
import os
import pty
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer, free_port
from tests.support.log_search import LOGS
from tests.support.servers.better_auth import WEB

pytestmark = pytest.mark.server
ROOT = Path(__file__).parent.parent.parent
TIMEOUT = 60  # seconds


class Run:
    """A running launcher."""

    def __init__(self, state: Path, stdout: int | None = None, /, **env: str) -> None:
        self.port, self.auth_port = free_port(), free_port()
        self.log = state.parent / f"{state.name}.log"
        bare = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dev.run"],
                cwd=ROOT,
                env={
                    **bare,
                    "STATE_DIR": str(state),
                    "PORT": str(self.port),
                    "AUTH_PORT": str(self.auth_port),
                    **env,
                },
                stdout=output if stdout is None else stdout,
                stderr=output,
            )
        self.state = state

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for_output(self, words: str) -> None:
        """Wait until the output contains these words."""
        deadline = time.monotonic() + TIMEOUT
        while words not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def wait_for_end(self) -> int:
        """Wait until the launcher ends, and return its exit status."""
        return self.process.wait(TIMEOUT)

    def processes(self) -> list[str]:
        """Return the commands of this run's processes that are still alive."""
        mark = f"STATE_DIR={self.state}\0".encode()
        alive = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (place / "environ").read_bytes():
                    alive.append((place / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return alive


@contextmanager
def started(state: Path, stdout: int | None = None, /, **env: str) -> Iterator[Run]:
    """Run the launcher until the block ends. Then search its output for private things."""
    run = Run(state, stdout, **env)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.terminate()
            run.process.wait()
        # Mail is printed on purpose. All other lines must contain nothing private.
        lines = [line for line in run.output.splitlines() if not line.startswith("mail | ")]
        LOGS.search("make run", "\n".join(lines))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A folder instead of `.state/`. If its `postgres.elsewhere` names a folder, the test's end removes that too."""
    yield tmp_path
    if (pointer := tmp_path / "postgres.elsewhere").exists():
        shutil.rmtree(Path(pointer.read_text()).parent, ignore_errors=True)


def all_ended(run: Run) -> bool:
    """Wait up to 10 s until all processes of the run have ended. Return whether they have."""
    deadline = time.monotonic() + 10
    while run.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not run.processes()


def sessions_seen_by(run: Run, role: str) -> object:
    """Count Better Auth's sessions, as one of the roles that the run has."""
    settings = dict(line.split("=", 1) for line in (run.state / "env").read_text().splitlines())
    address = DatabaseAddress.parse(settings["DATABASE_URL"])
    password = (run.state / f"{role}.password").read_text()

    async def ask() -> object:
        connection = await asyncpg.connect(
            host=address.host, port=address.port, user=role, password=password, database=address.database
        )
        try:
            return await connection.fetchval("SELECT count(*) FROM better_auth.session")
        finally:
            await connection.close()

    return asyncio.run(ask())


def token_of(run: Run, *, new: bool, origin: str = "") -> str:
    """Sign up or in at the real Better Auth, as the README shows, and return a token."""
    url = f"http://localhost:{run.auth_port}"
    person = {"name": "Ann", "email": "ann@example.com", "password": "correct horse"}
    with httpx.Client(base_url=url, headers={"origin": origin or url}) as client:
        answer = client.post(f"/api/auth/{'sign-up' if new else 'sign-in'}/email", json=person)
        assert answer.status_code == 200, answer.text
        return str(client.get("/api/auth/token").json()["token"])


def open_mailed_link(run: Run) -> None:
    """Verify Ann's e-mail address with the mail that the run prints. Before that, her sign-in gets 403."""
    url = f"http://localhost:{run.auth_port}"
    with httpx.Client(base_url=url, headers={"origin": url}) as client:
        ann = {"email": "ann@example.com", "password": "correct horse"}
        assert client.post("/api/auth/sign-in/email", json=ann).status_code == 403
        run.wait_for_output("mail | If you did not sign up")
        assert "mail | To: ann@example.com" in run.output
        link = re.search(r"^mail \| (http\S+)$", run.output, re.MULTILINE)
        assert link
        assert client.get(link[1]).status_code == 302
    assert stat.S_IMODE((run.state / "better-auth.log").stat().st_mode) == 0o600


@pytest.mark.quiet
def test_a_task_is_still_there_after_make_run_is_stopped_and_started(state: Path) -> None:
    if not (WEB / "node_modules").exists():
        pytest.skip("needs Node, and `make setup`")
    with started(state) as run:
        run.wait_for_output("Ready after")
        for step in ("PostgreSQL", "Migrations", "Better Auth", "API"):
            assert f"✓ {step}" in run.output
        assert f"http://127.0.0.1:{run.port}/docs" in run.output
        tasks = f"http://127.0.0.1:{run.port}/api/me/tasks"
        ann = {"authorization": f"Bearer {token_of(run, new=True)}"}
        created = httpx.post(tasks, json={"title": "Water the plants"}, headers=ann)
        assert created.status_code == 201
        assert sessions_seen_by(run, "better_auth") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            sessions_seen_by(run, "taskward_serving")
        run.process.send_signal(signal.SIGINT)
        assert run.wait_for_end() == 0
        assert all_ended(run), run.processes()

    began = time.monotonic()
    vite = "http://localhost:5173"  # the origin of a separate front end: see docs/front-ends.md
    with started(state, REQUIRE_EMAIL_VERIFICATION="1", TRUSTED_ORIGINS=vite) as run:
        run.wait_for_output("Ready after")
        assert time.monotonic() - began < 20
        open_mailed_link(run)
        tasks = f"http://127.0.0.1:{run.port}/api/me/tasks"
        ann = {"authorization": f"Bearer {token_of(run, new=False, origin=vite)}"}
        assert httpx.get(tasks, headers=ann).json() == [created.json()]

        second = Run(state.parent / "second", STATE_DIR=str(state))  # the same folder, and another log
        assert second.wait_for_end() == 1
        assert "another `make run` is running here" in second.output

        run.process.kill()
        run.process.wait()
        assert all_ended(run), run.processes()


def test_without_node_the_api_starts_and_a_token_can_be_made(state: Path) -> None:
    with started(state, PATH="/nowhere") as run:
        run.wait_for_output("Ready after")

        assert "Node.js 20.19 or newer (with npm) is not installed: install it to sign in" in run.output
        env = dict(line.split("=", 1) for line in (state / "env").read_text().splitlines())
        made = subprocess.run(
            [sys.executable, "-m", "app", "token", "--user", "ann"],
            env=env,
            cwd=state,
            capture_output=True,
            text=True,
            check=True,
        )
        headers = {"authorization": f"Bearer {made.stdout.strip()}"}
        assert httpx.get(f"http://127.0.0.1:{run.port}/api/me/tasks", headers=headers).json() == []
        assert httpx.get(f"http://127.0.0.1:{run.port}/health/ready").status_code == 200
        run.process.terminate()
        assert run.wait_for_end() == 0
        assert all_ended(run), run.processes()


def test_at_a_terminal_the_banner_is_printed_alone_and_then_a_line_for_each_request_but_health_checks(
    state: Path,
) -> None:
    terminal, launcher_end = pty.openpty()
    with started(state, launcher_end, PATH="/nowhere") as run:
        os.close(launcher_end)
        banner = read_until(terminal, "Ctrl-C stops everything.").partition("Ctrl-C")[0]
        url = f"http://127.0.0.1:{run.port}"
        for path in ("/health", "/health/ready", "/api/me/tasks", "/nowhere", "/docs"):
            httpx.get(f"{url}{path}")
        after = read_until(terminal, "/docs 200")

    assert f"Documentation  {url}/docs" in banner
    assert "serving" not in banner
    assert "/health" not in banner
    requests = [line for line in after.splitlines() if line.startswith("GET")]
    assert [re.sub(r"\d+ ms", "N ms", line) for line in requests] == [
        "GET /api/me/tasks 401 N ms  not-authenticated",
        "GET (no such path) 404 N ms",
        "GET /docs 200 N ms",
    ]


def read_until(terminal: int, words: str) -> str:
    """Read the output of a terminal until it contains these words."""
    output, deadline = "", time.monotonic() + TIMEOUT
    while words not in output:
        assert time.monotonic() < deadline, output
        if select.select([terminal], [], [], 1)[0]:
            output += os.read(terminal, 4096).decode()
    return output


@pytest.mark.quiet
def test_given_its_folder_is_removed_then_make_run_reports_it_and_stops_within_seconds(
    tmp_path: Path,
) -> None:
    (state := tmp_path / "state").mkdir()
    with started(state, PATH="/nowhere") as run:
        run.wait_for_output("Ready after")
        pointer = state / "postgres.elsewhere"
        outside = Path(pointer.read_text()).parent if pointer.exists() else None

        shutil.rmtree(state)
        began = time.monotonic()

        assert run.wait_for_end() == 1
        assert time.monotonic() - began < 8
        assert f"{state} was removed, so everything is stopped: start again with new data" in run.output
        assert "Traceback" not in run.output
        assert all_ended(run), run.processes()
        assert outside is None or not outside.exists()


def test_your_own_database_is_migrated_only_on_request_and_no_postgresql_is_started(
    postgres: PostgresServer, state: Path
) -> None:
    env = {"DATABASE_URL": postgres.new_database(), "BETTER_AUTH_URL": "http://localhost:1"}
    with started(state, **env) as run:
        assert run.wait_for_end() == 1
        assert "Migrations are waiting; apply them with MIGRATE=1:\n  0001: the table of tasks" in run.output

    with started(state, **env, MIGRATE="1") as run:
        run.wait_for_output("Ready after")

        assert "PostgreSQL" not in run.output
        assert "✓ Better Auth" not in run.output
        assert not (state / "postgres").exists()


def test_all_invalid_settings_are_reported_at_once_and_nothing_is_started(state: Path) -> None:
    with started(state, AUTH_PORT="x", PORT="y", BETTER_AUTH_SECRET="short") as run:
        assert run.wait_for_end() == 1

    assert "Traceback" not in run.output
    for fault in ("AUTH_PORT is", "PORT is", "BETTER_AUTH_SECRET has 5 bytes"):
        assert f"\n  {fault}" in run.output
    assert "✓" not in run.output
    assert all_ended(run), run.processes()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            "postgresql://{user}:guess@{host}:{port}/{database}",
            "has a user or password that 127.0.0.1 refuses",
        ),
        ("postgresql://{user}:{password}@{host}:{port}/nowhere", "names the database nowhere, which"),
        (
            "postgresql://{user}:{password}@{host}:1/{database}",
            "cannot be reached, since nothing listens on 127.0.0.1:1: start it",
        ),
    ],
)
@pytest.mark.parametrize("migrate", ["0", "1"])
def test_a_database_that_cannot_be_used_is_reported_without_a_traceback(
    postgres: PostgresServer, state: Path, wrong: str, message: str, migrate: str
) -> None:
    right = DatabaseAddress.parse(postgres.new_database())
    parts = {name: getattr(right, name) for name in ("user", "password", "host", "port", "database")}

    with started(state, DATABASE_URL=wrong.format(**parts), MIGRATE=migrate) as run:
        assert run.wait_for_end() == 1

    assert message in run.output
    assert "Traceback" not in run.output


def test_the_api_alone_starts_without_its_database_and_is_not_ready(state: Path) -> None:
    env = {"DATABASE_URL": "postgresql://x:y@127.0.0.1:1/z", "BETTER_AUTH_URL": "http://localhost:1"}
    with started(state, **env) as run:
        run.wait_for_output("Ready after")

        assert httpx.get(f"http://127.0.0.1:{run.port}/health/ready").status_code == 503


def test_a_state_folder_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with started(tmp_path, STATE_DIR=str(tmp_path / "file" / "state")) as run:
        assert run.wait_for_end() == 1

    assert "cannot be used (Not a directory): make it yours, or set STATE_DIR" in run.output
    assert "Traceback" not in run.output
