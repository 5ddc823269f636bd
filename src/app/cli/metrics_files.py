"""The folder in which workers count, for as long as a process of this start lives."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from app.settings import SettingsError

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a full disk would kill whoever writes to a mapped file
PREFIX: Final = "taskward-metrics-"
NEW: Final = "taskward-new-"  # not yet held
MERGED: Final = "0"  # in place of a process id, in the names of files that hold what the dead have counted


@contextmanager
def count_folder() -> Iterator[Path]:
    """Make the folder, and remove those of earlier starts that no process holds any more.

    A lock on the folder is held by this process and by all that are forked while it is open, so that it
    ends with the last of them, however they end.

    Raises:
        SettingsError: no folder for it is writable.

    """
    place = _place()
    for left in place.glob(f"{PREFIX}*"):
        _remove_unheld(left)
    new = Path(tempfile.mkdtemp(prefix=NEW, dir=place))
    held = os.open(new, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    folder = new.rename(place / new.name.replace(NEW, PREFIX))  # only now may another start look at it
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def merge_dead(folder: Path) -> None:
    """Add what dead processes have counted to one file of each kind, and forget their gauges.

    Without it a worker that dies each minute would fill the memory with its files.
    """
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415 - only where there is a folder

    for file in folder.glob("*.db"):
        kind, _, pid = file.stem.rpartition("_")
        if pid == MERGED or _lives(int(pid)):
            continue
        if not kind.startswith("gauge"):
            total = MmapedDict(str(folder / f"{kind}_{MERGED}.db"))
            for key, value, _, _ in MmapedDict.read_all_values_from_file(file):
                before, moment = total.read_value(key)
                total.write_value(key, before + value, moment)
            total.close()
        file.unlink(missing_ok=True)


def _place() -> Path:
    if os.access(SHARED_MEMORY, os.W_OK):
        return SHARED_MEMORY
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        fault = f"METRICS_PORT needs a folder to write to, {SHARED_MEMORY} or a temporary one: mount one"
        raise SettingsError([f"{fault}, or set TMPDIR"]) from None


def _remove_unheld(folder: Path) -> None:
    """Remove a folder of ours that nobody holds. In a place that all may write to, it may be anybody's."""
    with suppress(OSError):  # gone, or not for us to open
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
