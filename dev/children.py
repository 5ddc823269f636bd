"""Child processes that never outlive their parent."""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1


def unprivileged() -> pwd.struct_passwd | None:
    """Return the user that PostgreSQL runs as, because it refuses root; None if we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise OSError("running as root, and there is no user `postgres` or `nobody` to run PostgreSQL as")


def prepare(
    user: pwd.struct_passwd | None = None, *, on_parent_death: int = signal.SIGTERM
) -> Callable[[], None]:
    """Return what the child does before it becomes another program: step down, and die with its parent.

    `on_parent_death`: the signal that the child gets when its parent dies.

    The kernel forgets the wish when the user changes, so it is made afterwards. macOS has no such wish:
    there the launcher stops its children itself, and `kill -9` of it may leave them.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def child() -> None:
        os.setsid()  # Ctrl-C in the terminal is the launcher's to hear, which stops us in order
        if user is not None:
            os.setgroups([user.pw_gid])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, on_parent_death)
            if os.getppid() != parent:  # it died in between
                os.kill(os.getpid(), on_parent_death)

    return child


def may_enter(user: pwd.struct_passwd, folder: Path) -> bool:
    """Return whether a user can reach a folder: every folder above it must let them through."""
    groups = {user.pw_gid, *os.getgrouplist(user.pw_name, user.pw_gid)}
    for place in (folder, *folder.parents):
        state = place.stat()
        if state.st_uid == user.pw_uid:
            allowed = state.st_mode & 0o100
        elif state.st_gid in groups:
            allowed = state.st_mode & 0o010
        else:
            allowed = state.st_mode & 0o001
        if not allowed:
            return False
    return True
