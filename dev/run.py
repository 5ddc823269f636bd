"""`make run`: PostgreSQL, its migrations, Better Auth and the API, together, until Ctrl-C."""

import asyncio
import fcntl
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NoReturn

from app.cli.connection_errors import connection_error, explain_unreachable
from app.infra.migrations.run import list_waiting, upgrade
from app.infra.postgres.connect import means_unreachable
from app.settings.database_address import DatabaseAddress
from app.settings.environment import environment
from dev.binaries import NoPostgres
from dev.cluster import CannotStart, write_secret
from dev.part import Part
from dev.plan import Plan, plan
from dev.postgres import PostgresServer, QueryFailed
from dev.roles import prepare_auth, prepare_serving
from dev.steps import CannotRun, step

ROOT = Path(__file__).resolve().parent.parent
NOT_SHARED = ("DATABASE_URL_DIRECT", "AUTH_DATABASE_URL")  # a part gets only the address that it uses
SETTINGS_OF_COMMANDS = (  # of `app token`, `migrate` and `purge`
    "DATABASE_URL",
    "DATABASE_URL_DIRECT",
    "BETTER_AUTH_URL",
    "BETTER_AUTH_SECRET",
    "JWT_ISSUER",
    "JWT_AUDIENCE",
)


def main() -> int:
    """Run everything; return the exit status."""
    state = Path(os.environ.get("STATE_DIR", ROOT / ".state"))
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, _interrupt)
    began = time.monotonic()
    try:
        with ExitStack() as running:
            lock = running.enter_context(_lock_state(state))
            parts = start(plan(environment(), state), state, running)
            print(f"\nReady after {time.monotonic() - began:.1f} s. Ctrl-C stops everything.\n", flush=True)
            for part in parts:
                part.show()
            watch(parts, lock, state)
    except KeyboardInterrupt:
        pass
    except (CannotRun, CannotStart, NoPostgres, QueryFailed) as error:
        print("\nTaskward cannot run:", *str(error).splitlines(), sep="\n  ", file=sys.stderr, flush=True)
        return 1
    print("Stopped. The data stays.", flush=True)
    return 0


def start(chosen: Plan, state: Path, running: ExitStack) -> list[Part]:
    """Start each part when the parts that it needs are ready. `running` stops them in reverse order."""
    print("Taskward", flush=True)
    env, parts = chosen.env, []
    if chosen.embedded:
        server = PostgresServer(state)
        running.callback(lambda: server.stop() if state.exists() else server.remove())
        with step("PostgreSQL"):
            server.start()
            auth_database = prepare_auth(server)
        env["DATABASE_URL_DIRECT"] = server.url
        migrate(chosen)
        env["DATABASE_URL"] = prepare_serving(server)
    else:
        auth_database = env.get("AUTH_DATABASE_URL") or env["DATABASE_URL"]
        migrate(chosen)
    shared = {name: value for name, value in env.items() if name not in NOT_SHARED}
    if chosen.node:
        auth = Part(
            "Better Auth",
            [chosen.node, "--import", "tsx", "server.ts"],
            {
                **shared,
                "DATABASE_URL": auth_database,
                "AUTH_PORT": str(chosen.auth_port),
                "API_URL": f"http://{_address_to_connect_to(chosen.host)}:{chosen.port}",
            }
            | ({} if chosen.embedded else {"MIGRATE": env.get("MIGRATE", "0")}),
            cwd=ROOT / "web",
            log=state / "better-auth.log",
        )
        running.callback(auth.stop)
        with step("Better Auth"):
            auth.wait_until(lambda: auth.has_printed("listening on"))
        parts.append(auth)
    if sys.stdout.isatty():
        shared.setdefault("LOG_FORMAT", "console")  # the API itself sees only a pipe
    api = Part("the API", [sys.executable, "-m", "app", "serve"], shared, cwd=ROOT)
    running.callback(api.stop)
    with step("API"):
        api.wait_until(lambda: _answers(f"http://{_address_to_connect_to(chosen.host)}:{chosen.port}/health"))
    _write_environment(state, env)
    print_addresses(chosen, state)
    return [*parts, api]


def migrate(chosen: Plan) -> None:
    """Migrate the embedded database; another one only with MIGRATE=1.

    Raises:
        CannotRun: migrations are waiting, the URL is wrong, or the database is down and needed at the start.
    """
    address = DatabaseAddress.parse(
        chosen.env.get("DATABASE_URL_DIRECT") or chosen.env["DATABASE_URL"]
    ).direct()
    may_change = chosen.embedded or chosen.env.get("MIGRATE") == "1"
    pending: list[str] = []
    try:
        if may_change:
            with step("Migrations"):
                asyncio.run(upgrade(address))
        else:
            pending = asyncio.run(list_waiting(address))
    except Exception as error:
        if fault := connection_error(address, error):
            raise CannotRun(fault) from error
        if not means_unreachable(error):
            raise
        if may_change or chosen.node:
            why = explain_unreachable(address, error)
            raise CannotRun(f"the database of DATABASE_URL cannot be reached, {why}: start it") from error
        # Nothing else needs the database at the start: the API answers 503 until the database is reachable.
    if pending:
        raise CannotRun("\n".join(["Migrations are waiting; apply them with MIGRATE=1:", *pending]))


def print_addresses(chosen: Plan, state: Path) -> None:
    """Print where each part can be reached, and how to make a token."""
    api = f"http://{_address_to_connect_to(chosen.host)}:{chosen.port}"
    if chosen.node:
        print(f"\n  The page       {chosen.env['BETTER_AUTH_URL']}   (sign up, and keep tasks)", end="")
    print(f"\n  Documentation  {api}/docs\n  API            {api}/api/me/tasks")
    if chosen.node:
        print(f"  Better Auth    {chosen.env['BETTER_AUTH_URL']}/api/auth")
    if chosen.no_node:
        print(f"\n  {chosen.no_node}.")
    if chosen.env.get("BETTER_AUTH_SECRET"):
        file = os.path.relpath(state / "env")
        print(f"\n  A token to try it with:  .venv/bin/app token --env-file {file} --user you")


def watch(parts: list[Part], lock: IO[str], state: Path) -> None:
    """Wait until a part ends, the state folder is removed, or the parent ends (`kill -9` of make).

    Raises:
        CannotRun: naming the part that ended, or the folder that was removed.
    """
    parent = os.getppid()
    while os.getppid() == parent:
        if os.fstat(lock.fileno()).st_nlink == 0:
            raise CannotRun(f"{state} was removed, so everything is stopped: start again with new data")
        for part in parts:
            part.show_mail()
            if (status := part.exit_status) is not None:
                raise CannotRun(f"{part.name} ended (status {status}). {part.last_output()}".rstrip())
        time.sleep(0.25)


def _write_environment(state: Path, env: dict[str, str]) -> None:
    """Write the settings of `app token`, `migrate` and `purge` to a file that only this user can read."""
    lines = [f"{name}={env[name]}\n" for name in SETTINGS_OF_COMMANDS if env.get(name)]
    write_secret(state / "env", "".join(lines))


@contextmanager
def _lock_state(state: Path) -> Iterator[IO[str]]:
    """Lock the state folder for this run; yield the locked file."""
    try:
        state.mkdir(exist_ok=True, mode=0o755)
        lock = (state / "lock").open("w")
    except OSError as error:
        raise CannotRun(
            f"{state} cannot be used ({error.strerror}): make it yours, or set STATE_DIR"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(
                "another `make run` is running here: stop it first (Ctrl-C where it runs)"
            ) from None
        yield lock


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)  # noqa: PLR2004
    except OSError:
        return False


def _address_to_connect_to(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
