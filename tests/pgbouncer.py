"""A real PgBouncer in transaction mode, before a real PostgreSQL."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dev.children import prepare, unprivileged
from dev.postgres import free_port


@contextmanager
def pgbouncer(database_url: str, folder: Path, *, server_connections: int = 2) -> Iterator[str]:
    """Start it on this database; yield the same address through it."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    url = urlsplit(database_url)
    name, port, user = url.path.removeprefix("/"), free_port(), unprivileged()
    (folder / "users.txt").write_text(f'"{url.username}" "{url.password}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host={url.hostname} port={url.port} dbname={name}\n"
        "[pgbouncer]\npool_mode = transaction\nauth_type = plain\n"
        f"auth_file = {folder / 'users.txt'}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"default_pool_size = {server_connections}\nmax_client_conn = 200\n"
    )
    if user is not None:
        for place in (folder, *folder.iterdir()):
            shutil.chown(place, user.pw_uid, user.pw_gid)
        for above in folder.parents:  # pytest's own folders are closed to others
            if above.name.startswith("pytest-"):
                above.chmod(0o711)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, folder / "pgbouncer.ini"],
            stdout=log,
            stderr=log,
            preexec_fn=prepare(user),  # noqa: PLW1509 - no threads here
        )
    try:
        through = f"postgresql://{url.username}:{url.password}@127.0.0.1:{port}/{name}"
        _wait(process, port, folder / "log")
        yield through
    finally:
        process.terminate()
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    for _ in range(100):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(log.read_text())
