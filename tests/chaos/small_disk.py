"""A PostgreSQL that has a small file system for its tables, which can be filled.

The file system is a tmpfs in a mount namespace of the server, so no other process sees it, and it ends with the server. An
ordinary user may make one if user namespaces are allowed. The write-ahead log is on another disk: PostgreSQL stops if the log
has no space, which is another fault.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dev.children import unprivileged_user
from dev.postgres import PostgresServer

SIZE: Final = 48  # MB: a new database takes about 8
STEPS: Final = 'mount -t tmpfs -o size="$1"m,mode=0777 small "$2" && shift 2 && exec "$@"'


class NotHere(Exception):
    """The machine does not allow a scenario; the message gives the reason."""


def command_with_small_disk(folder: Path) -> tuple[str, ...]:
    """Return the beginning of a server's command: it mounts a small file system at this folder, for the server only.

    In the first namespace the user is root, who may mount. In the second one the user has their own id again, because
    PostgreSQL refuses to run as root.

    Raises:
        NotHere: this machine does not allow it.

    """
    user = unprivileged_user()
    uid, gid = (user.pw_uid, user.pw_gid) if user else (os.getuid(), os.getgid())
    folder.mkdir()
    os.chown(folder, uid, gid)
    prefix = (
        *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", STEPS, "sh", str(SIZE), str(folder)),
        *("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", "setpriv", "--pdeathsig", "INT"),
    )
    who = {"user": uid, "group": gid, "extra_groups": []} if user else {}
    try:
        subprocess.run([*prefix, "true"], **who, capture_output=True, text=True, check=True)  # type: ignore[call-overload]
    except subprocess.CalledProcessError as error:
        raise NotHere(f"no mount namespace of one's own: {error.stderr.strip()}") from error
    return prefix


@contextmanager
def filled(server: PostgresServer, folder: Path) -> Iterator[None]:
    """Fill the disk for a while. The server writes the file, because only it can see the disk."""
    filler = folder / "filler"
    server.query(f"COPY (SELECT 1) TO PROGRAM 'cat /dev/zero > {filler} 2> /dev/null || true'")
    try:
        yield
    finally:
        server.query(f"COPY (SELECT 1) TO PROGRAM 'rm {filler}'")
