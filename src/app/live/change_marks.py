"""Marks of changes, which all workers of one `app serve` share.

Each owner has a slot in a table, by a hash of the user id. A write to the owner's tasks puts a new random
number into the slot, which costs no system call. The main process creates the table before it forks its
workers. Two owners may share a slot: then a write of one makes the streams of the other read in vain.
"""

import mmap
from hashlib import blake2b
from random import getrandbits
from typing import Final

SLOTS: Final = 1 << 17  # of 8 bytes: 1 MB, and the kernel provides only the pages that are used
EVERYONE: Final = 0  # the slot that means every owner: marked if it is not known whose tasks changed


def digest_of(owner: str) -> bytes:
    """Return the hash of an owner. Only the hash leaves the process, so a store learns no user ids."""
    return blake2b(owner.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class ChangeMarks:
    """The table. `is_shared`: other processes may write to it too."""

    def __init__(self, *, is_shared: bool) -> None:
        self.is_shared = is_shared
        self._slots = memoryview(mmap.mmap(-1, SLOTS * 8)).cast("Q")

    def mark(self, digest: bytes) -> None:
        """Mark a change of one owner."""
        self._slots[_slot(digest)] = getrandbits(64)

    def mark_everyone(self) -> None:
        """Mark a change of every owner."""
        self._slots[EVERYONE] = getrandbits(64)

    def of(self, digest: bytes) -> int:
        """Return the number in an owner's slot. It differs after each change."""
        return self._slots[_slot(digest)]

    @property
    def of_everyone(self) -> int:
        """The number in the slot of all owners."""
        return self._slots[EVERYONE]


def _slot(digest: bytes) -> int:
    return 1 + int.from_bytes(digest[:8], "little") % (SLOTS - 1)


_shared: list[ChangeMarks] = []


def share_marks() -> None:
    """Create the table that worker processes inherit when they are forked from this process."""
    _shared[:] = [ChangeMarks(is_shared=True)]


def inherited_marks() -> ChangeMarks:
    """Return the table of the main process, or one of this process alone."""
    return _shared[0] if _shared else ChangeMarks(is_shared=False)
