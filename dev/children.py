"""Prepares child processes: on Linux they end with their parent. They can run as another user than root."""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return the user that PostgreSQL runs as, because it refuses root; None if we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise OSError("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it")


def prepare(
    user: pwd.struct_passwd | None = None, *, on_parent_death: int = signal.SIGTERM
) -> Callable[[], None]:
    """Return a function for `preexec_fn`: it changes the user, and requests a signal at the parent's death.

    `on_parent_death`: the signal that the child gets when its parent dies.

    The kernel drops the request when the user changes, so the request comes last. macOS has no such request:
    the parent itself stops its children there, and they may go on after a `kill -9` of the parent.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def child() -> None:
        os.setsid()  # Ctrl-C reaches only the parent, which stops its children in order
        if user is not None:
            os.setgroups([user.pw_gid])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, on_parent_death)
            if os.getppid() != parent:  # the parent died before `prctl`
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
