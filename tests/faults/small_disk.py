"""A PostgreSQL that has a small file system for its tables, which can be filled.

It is a tmpfs in a mount namespace of the server's own, which an ordinary user may make where user namespaces are allowed:
nothing is mounted on this machine, and it ends with the server. The log of transactions lies elsewhere, because without
room for that one PostgreSQL stops, which is another fault.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dev.children import unprivileged
from dev.postgres import PostgresServer

SIZE: Final = 48  # MB: a new database takes about 8
STEPS: Final = 'mount -t tmpfs -o size="$1"m,mode=0777 small "$2" && shift 2 && exec "$@"'


class NotHere(Exception):
    """This machine does not allow what a row needs; the message says what."""


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[PostgresServer, Path]]:
    """Yield the server, and its small file system as we can reach it."""
    user = unprivileged()
    uid, gid = (user.pw_uid, user.pw_gid) if user else (os.getuid(), os.getgid())
    server = PostgresServer(folder, durable=False, settings={"synchronous_commit": "on"})
    place = server.data.parent / f"small-{server.data.name}"
    place.mkdir(exist_ok=True)
    os.chown(place, uid, gid)
    server.through = (
        *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", STEPS, "sh", str(SIZE), str(place)),
        *("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", "setpriv", "--pdeathsig", "INT"),
    )
    trial = subprocess.run(
        [*server.through, "true"], user=uid, group=gid, extra_groups=[], capture_output=True, text=True, check=False
    )
    if trial.returncode:
        raise NotHere(f"no mount namespace of one's own: {trial.stderr.strip()}")
    try:
        server.start()
        pid = server.process.pid if server.process else 0
        server.query(f"CREATE TABLESPACE small LOCATION '{place}'")
        yield server, Path(f"/proc/{pid}/root{place}")
    finally:
        server.remove()
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def filled(small: Path) -> Iterator[None]:
    """Leave no room on it for a while."""
    filler = small / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
        try:
            yield
        finally:
            filler.unlink()
