"""A real PgBouncer in transaction mode, in front of a real PostgreSQL: the installed PgBouncer, or PgBouncer 1.24.

From 1.21 on PgBouncer can keep prepared statements, as Neon's pooler does. `.ci/newer-pgbouncer` unpacks version 1.24.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import pytest

from dev.children import prepare, unprivileged_user
from dev.postgres import free_port

NO_SETTINGS: Final[Mapping[str, str]] = {}
# Settings of `newer()`. An older PgBouncer does not know them, and never keeps prepared statements.
KEEPS_STATEMENTS: Final = {"max_prepared_statements": "200"}
FORGETS_STATEMENTS: Final = {"max_prepared_statements": "0"}


def installed() -> str:
    """Return the path of the PgBouncer that is installed on the machine."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    return program


def newer() -> str:
    """Return the path of the PgBouncer that can keep prepared statements."""
    cache = "/var/cache" if os.geteuid() == 0 else os.environ.get("XDG_CACHE_HOME", "~/.cache")
    program = Path(cache).expanduser() / "taskward/pgbouncer-1.24/pgbouncer"
    if not program.exists():
        pytest.skip("PgBouncer 1.24 is not unpacked: run .ci/newer-pgbouncer")
    return str(program)


class PgBouncer:
    """A pooler that can be killed and started again on the same port. Without `program` it is the installed one."""

    def __init__(
        self,
        database_url: str,
        folder: Path,
        *,
        server_connections: int = 2,
        program: str | None = None,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> None:
        program = program or installed()
        url = urlsplit(database_url)
        name, self._port, self._user = url.path.removeprefix("/"), free_port(), unprivileged_user()
        folder.mkdir(exist_ok=True)
        (folder / "users.txt").write_text(f'"{url.username}" "{url.password}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n{name} = host={url.hostname} port={url.port} dbname={name}\n"
            "[pgbouncer]\npool_mode = transaction\nauth_type = plain\n"
            f"auth_file = {folder / 'users.txt'}\nlisten_addr = 127.0.0.1\nlisten_port = {self._port}\n"
            f"unix_socket_dir =\ndefault_pool_size = {server_connections}\nmax_client_conn = 200\n"
            + "".join(f"{setting} = {value}\n" for setting, value in settings.items())
        )
        if self._user is not None:
            for place in (folder, *folder.iterdir()):
                shutil.chown(place, self._user.pw_uid, self._user.pw_gid)
            for above in folder.parents:  # only the user of the tests may enter pytest's folders
                if above.name.startswith(("pytest-", "popen-")):
                    above.chmod(0o711)
        self._command = [program, str(folder / "pgbouncer.ini")]
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://{url.username}:{url.password}@127.0.0.1:{self._port}/{name}"

    def start(self) -> None:
        """Start the pooler, and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                preexec_fn=prepare(self._user),  # noqa: PLW1509 - no threads here
            )
        for _ in range(100):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        raise AssertionError(self._log.read_text())

    def kill(self) -> None:
        """Send SIGKILL to the pooler, and wait until it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextmanager
def pgbouncer(
    database_url: str,
    folder: Path,
    *,
    server_connections: int = 2,
    program: str | None = None,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> Iterator[str]:
    """Run a pooler in front of this database until the block ends, and yield the URL of the database through it."""
    with PgBouncer(
        database_url,
        folder,
        server_connections=server_connections,
        program=program,
        settings=settings,
    ) as pooler:
        yield pooler.url
