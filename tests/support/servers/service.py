"""The service as it is run in production: `app serve`, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeAlias

import httpx

from app.infra.auth.jwt_verifier import issue_token
from dev.children import prepare
from dev.postgres import free_port
from tests.support.log_search import LOGS
from tests.support.people import TRUST
from tests.support.servers.forked_app import ForkedApp, can_fork, start

START_TIMEOUT = 30  # seconds
END_TIMEOUT = 60  # seconds
BARE_ENVIRONMENT = {
    name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ
}
"""The environment without the settings that a developer may have exported."""
Process: TypeAlias = "subprocess.Popen[bytes] | ForkedApp"


@dataclass
class Service:
    """A running service."""

    url: str
    process: Process
    log: Path

    def kill(self) -> None:
        """Send SIGKILL to the main process and its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)

    def token(self, user_id: str) -> str:
        """Return a token that the service accepts."""
        return issue_token(TRUST, user_id=user_id, lifetime=900)

    def headers(self, user_id: str = "ann") -> dict[str, str]:
        """Return the authorization header with a token of the person."""
        return {"authorization": f"Bearer {self.token(user_id)}"}


def app(
    *arguments: str, env: Mapping[str, str], cwd: Path, under: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run `app` with these arguments, and wait for its end. `under` is a command that runs `app`, like `prlimit`."""
    env = {**BARE_ENVIRONMENT, "PORT": str(free_port()), **env}
    with TemporaryFile() as output, TemporaryFile() as errors:
        process: Process
        if under or not can_fork(env):
            command = [*under, sys.executable, "-m", "app", *arguments]
            process = subprocess.Popen(command, env=env, cwd=cwd, stdout=output, stderr=errors)
        else:
            process = start(arguments, env, cwd, output.fileno(), errors.fileno())
        try:
            returncode = process.wait(END_TIMEOUT)
        finally:
            process.kill()
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
    done = subprocess.CompletedProcess(arguments, returncode, *texts)
    if arguments[0] != "token":  # `app token` prints a token on purpose
        LOGS.search(f"app {arguments[0]}", done.stdout + done.stderr)
    return done


@contextmanager
def serving(
    env: Mapping[str, str],
    folder: Path,
    *,
    wait: bool = True,
    under: Sequence[str] = (),
    stdout: int | None = None,
) -> Iterator[Service]:
    """Run `app serve` in a folder without a `.env`, until the block ends. `under` is a command that runs it.

    Standard error goes to the log. So does standard output, unless `stdout` is a descriptor. `wait=False` is for
    tests of the start: a new interpreter runs, and nothing waits until it answers.
    """
    LOGS.note(env.get("BETTER_AUTH_SECRET", ""))
    port, log = int(env.get("PORT") or free_port()), folder / "log"
    env = {**BARE_ENVIRONMENT, **env, "PORT": str(port)}
    with log.open("ab") as output:
        process: Process
        if under or not wait or not can_fork(env):
            process = subprocess.Popen(
                [*under, sys.executable, "-m", "app", "serve"],
                env=env,
                cwd=folder,
                stdout=output if stdout is None else stdout,
                stderr=output,
                preexec_fn=prepare(on_parent_death=signal.SIGTERM),  # noqa: PLW1509 - no threads here
            )
        else:
            standard_output = output.fileno() if stdout is None else stdout
            process = start(["serve"], env, folder, standard_output, output.fileno())
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        if wait:
            _until_it_answers(service)
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
        LOGS.search(str(log), log.read_text())


def _until_it_answers(service: Service) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    with httpx.Client(timeout=2, verify=False) as client:  # noqa: S501 - plain HTTP; reading certificates takes as long as a poll
        while time.monotonic() < deadline:
            try:
                client.get(f"{service.url}/health")
            except httpx.HTTPError:
                assert service.process.poll() is None, service.log.read_text()
                time.sleep(0.05)
            else:
                return
    raise AssertionError(service.log.read_text())
