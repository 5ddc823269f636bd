"""The commands of docs/operations.md are run against real servers."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from app.infra.auth.jwt_verifier import issue_token
from app.settings.auth import AuthSettings
from dev.binaries import find
from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.support.factories import someone
from tests.support.people import ORIGIN, SECRET
from tests.support.servers.better_auth import better_auth
from tests.support.servers.migrated import migrated_database
from tests.support.servers.service import Service, serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.server

PAGE = Path(__file__).parent.parent.parent / "docs" / "operations.md"
PATIENCE = 15  # seconds until workers are replaced
SNIPPET_COUNTS = {
    "Installing": 1,  # run by test_installing.py
    "The log": 1,
    "Replacing the shared secret": 2,
    "Replacing the keys": 2,
    "Neon's roles and branches": 2,
    "Backup and restore": 3,  # run by dev/drill.py, which test_backup_and_restore.py runs
}
"""How many snippets each section has. The tests below run them, unless a comment names another file."""


def snippets(heading: str) -> list[tuple[str, str]]:
    """Return the language and the code of each snippet in a section."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(sh|python)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def run(snippet: tuple[str, str], **env: str) -> str:
    language, code = snippet
    command = ("bash", "-euo", "pipefail", "-c", code) if language == "sh" else (sys.executable, "-c", code)
    path = f"{find()}:{os.environ['PATH']}"
    done = subprocess.run(command, env={"PATH": path, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(service: Service, token: str) -> int:
    """Send a request on a new connection; return its status."""
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(f"{service.url}/api/me/tasks", headers=headers, timeout=10).status_code


@contextmanager
def requests_meanwhile(service: Service, token: str) -> Iterator[None]:
    """Send requests in a loop; any status other than 200 fails the block."""
    answers: list[int | str] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                answers.append(status(service, token))
            except httpx.HTTPError as error:
                answers.append(type(error).__name__)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()
    assert len(answers) > 3
    assert set(answers) == {200}


@contextmanager
def workers_replaced(service: Service) -> Iterator[None]:
    """Wait at the end of the block until all workers have been replaced since its beginning."""

    def workers() -> set[int]:
        return {child.pid for child in psutil.Process(service.process.pid).children()}

    before = workers()
    yield
    wait_until(lambda: workers() and not workers() & before, seconds=PATIENCE, pause=0.1)


def test_each_section_has_as_many_snippets_as_the_tests_run_and_no_other_section_has_one() -> None:
    assert {heading: len(snippets(heading)) for heading in SNIPPET_COUNTS} == SNIPPET_COUNTS
    assert PAGE.read_text().count("```") == 2 * sum(SNIPPET_COUNTS.values())


@pytest.mark.quiet  # on a busy machine a request may reach a worker that is about to end, and gets no response
def test_the_shared_secret_is_replaced_and_nobody_is_signed_out(database_url: str, tmp_path: Path) -> None:
    settings = environment_for(database_url)
    del settings["BETTER_AUTH_SECRET"]
    file = tmp_path / ".env"
    file.write_text(f"BETTER_AUTH_SECRET={SECRET.decode()}\nMAX_TASKS=7\n")

    def token_of(secret: str) -> str:
        trust = AuthSettings(issuer=ORIGIN, audience=ORIGIN, secret=secret.encode())
        return issue_token(trust, user_id="ann", lifetime=900)

    old = token_of(SECRET.decode())
    accept_both, accept_new_only = snippets("Replacing the shared secret")
    with serving(settings, tmp_path) as service:
        env = {"ENV_FILE": str(file), "TASKWARD_PID": str(service.process.pid)}

        with requests_meanwhile(service, old), workers_replaced(service):
            run(accept_both, **env)
        new = token_of(re.findall(r"^BETTER_AUTH_SECRET=(.*)$", file.read_text(), re.MULTILINE)[0])
        assert [status(service, token) for token in (old, new)] == [200, 200]
        with requests_meanwhile(service, new), workers_replaced(service):
            run(accept_new_only, **env)
        assert [status(service, token) for token in (old, new)] == [401, 200]

    assert re.findall("^[A-Z_]+", file.read_text(), re.MULTILINE) == ["MAX_TASKS", "BETTER_AUTH_SECRET"]


async def test_keys_can_be_replaced_at_once_or_with_both_valid_for_a_while(
    postgres: PostgresServer, database_url: str, tmp_path: Path
) -> None:
    gently, at_once = snippets("Replacing the keys")
    auth_database = postgres.new_database()
    async with better_auth(auth_database) as auth:
        ann = await auth.sign_up()
        settings = {"DATABASE_URL": database_url, "BETTER_AUTH_URL": auth.url, "LOG_FORMAT": "json"}
        with serving(settings, tmp_path) as service:
            env = {"AUTH_DATABASE_URL": auth_database, "TASKWARD_PID": str(service.process.pid)}
            old = await ann.token()
            assert status(service, old) == 200

            await asyncio.to_thread(run, gently, **env)
            new = await ann.token()
            assert [status(service, token) for token in (new, old)] == [200, 200]
            assert old.partition(".")[0] != new.partition(".")[0]  # the JWT's header has the key's id

            await asyncio.to_thread(run, at_once, **env)
            newest = await ann.token()
            await until_status(service, newest, 200)
            await until_status(service, new, 401)
            assert status(service, newest) == 200


async def until_status(service: Service, token: str, expected: int) -> None:
    """Wait until a request with the token gets this status."""
    has_status = partial(wait_until, lambda: status(service, token) == expected, seconds=PATIENCE, pause=0.1)
    await asyncio.to_thread(has_status)


async def test_the_serving_role_can_serve_and_can_neither_change_tables_nor_read_them_directly(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    owner_url = await migrated_database(postgres)

    run(snippets("Neon's roles and branches")[0], OWNER_URL=owner_url, PASSWORD="only-for-tests")

    serving_url = re.sub(r"//[^@]*@", "//taskward_serving:only-for-tests@", owner_url)
    with serving(environment_for(serving_url), tmp_path) as service:
        await asyncio.to_thread(send_requests_that_use_every_table, service)
    connection = await asyncpg.connect(serving_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM own_tasks") == 0
        for forbidden in (
            "DROP TABLE tasks",
            "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY",
            "DROP VIEW own_tasks",
            "CREATE OR REPLACE VIEW own_tasks AS SELECT * FROM tasks",
            "SET ROLE taskward_app",
            "SELECT * FROM tasks",
            "UPDATE taskward_version SET version_num = 'x'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
    finally:
        await connection.close()


async def test_the_role_of_better_auth_cannot_read_tasks_and_the_api_cannot_read_sessions(
    postgres: PostgresServer,
) -> None:
    owner_url = await migrated_database(postgres)
    owner = await asyncpg.connect(owner_url)
    await owner.execute("CREATE TABLE session (token text); INSERT INTO session VALUES ('kept')")

    run(snippets("Neon's roles and branches")[1], OWNER_URL=owner_url, AUTH_PASSWORD="only-for-tests")

    auth_url = re.sub(r"//[^@]*@", "//better_auth:only-for-tests@", owner_url)
    connection = await asyncpg.connect(auth_url)
    try:
        assert await connection.fetchval("SELECT token FROM session") == "kept"
        assert await connection.fetchval("SHOW statement_timeout") == "5s"
        await connection.execute("CREATE TABLE account ()")
        for forbidden in ("SELECT * FROM public.own_tasks", "SET ROLE taskward_app", "CREATE ROLE x"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("SELECT * FROM better_auth.session")
    finally:
        await connection.close()
        await owner.close()


def send_requests_that_use_every_table(service: Service) -> None:
    """Send a write with a key, a batch, a permanent deletion and reads."""
    headers = service.headers(someone()) | {"idempotency-key": '"k"'}
    with httpx.Client(base_url=service.url, headers=headers) as client:
        task = client.post("/api/me/tasks", json={"title": "x"}).json()
        assert client.get("/api/me/tasks").json() == [task]
        assert client.delete(f"/api/me/tasks/{task['id']}?permanent=true").status_code == 204
        batch = {"operations": [{"op": "create", "title": "y"}]}
        assert client.post("/api/me/tasks/batch", json=batch).status_code == 200
        assert client.get("/health/ready").status_code == 200


def test_the_log_lines_of_a_person_are_found_by_the_hash_of_their_id(
    database_url: str, tmp_path: Path
) -> None:
    ann, key = someone(), "a-key-of-the-operator"

    with serving(environment_for(database_url, LOG_USER_KEY=key), tmp_path) as service:
        httpx.get(f"{service.url}/api/me/tasks", headers=service.headers(ann))
    name = run(snippets("The log")[0], LOG_USER_KEY=key, USER_ID=ann).strip()

    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["route"] for line in lines if line.get("user") == name] == ["/api/{user_id}/tasks"]
