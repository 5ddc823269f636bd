"""The folder of the workers' metrics files. If `app serve` is killed, its next start deletes the folder."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from app.settings import SettingsError

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a full disk would kill a process that writes to a mapped file
PREFIX: Final = "taskward-metrics-"
NEW_PREFIX: Final = "taskward-new-"  # prefix of a folder that is not locked yet
MERGED: Final = "0"  # in file names, instead of a process id: the sums of dead processes


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """Create the folder, and remove folders of earlier starts that no process locks any more.

    This process and the children that it forks in the block hold a lock on the folder. The lock ends with
    the last of them, even if they are killed.

    Raises:
        SettingsError: there is no writable place for the folder.
    """
    place = _shared_place()
    for old in place.glob(f"{PREFIX}*"):
        _remove_unlocked(old)
    new = Path(tempfile.mkdtemp(prefix=NEW_PREFIX, dir=place))
    descriptor = os.open(new, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    folder = new.rename(place / new.name.replace(NEW_PREFIX, PREFIX))  # locked: no other start removes it
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def merge_dead(folder: Path) -> None:
    """Merge the counters of dead processes into one file of each kind, and delete their gauges.

    Otherwise workers that die again and again would fill the memory with their files.
    """
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415 - needed only with a folder

    for file in folder.glob("*.db"):
        kind, _, pid = file.stem.rpartition("_")
        if pid == MERGED or _is_alive(int(pid)):
            continue
        if not kind.startswith("gauge"):
            total = MmapedDict(str(folder / f"{kind}_{MERGED}.db"))
            for key, value, _, _ in MmapedDict.read_all_values_from_file(file):
                before, timestamp = total.read_value(key)
                total.write_value(key, before + value, timestamp)
            total.close()
        file.unlink(missing_ok=True)


def _shared_place() -> Path:
    if os.access(SHARED_MEMORY, os.W_OK):
        return SHARED_MEMORY
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        message = f"METRICS_PORT needs a folder to write to, {SHARED_MEMORY} or a temporary one: mount one"
        raise SettingsError([f"{message}, or set TMPDIR"]) from None


def _remove_unlocked(folder: Path) -> None:
    """Remove a folder that no process locks. It stays if it belongs to another user."""
    with suppress(OSError):  # deleted meanwhile, locked, or not permitted
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # or the process that has its id now is of another user
        return False
    return True
