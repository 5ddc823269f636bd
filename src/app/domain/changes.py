"""The changes of an owner's tasks, in the order in which they were committed.

Each write increments its owner's revision and stamps it on the tasks that it writes. A task that is deleted
permanently leaves its id and its last revision, a tombstone. So a task stands at exactly one place in the
changes, (revision, id), and moves to the end with each write. Old tombstones are dropped: one may be
missing up to the revision `floor` of the owner, and none after it.
"""

from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from app.domain.errors import ChangesGone

CHANGES_MAX: Final = 200  # changes of one page
FIRST_ID: Final = UUID(int=0)
LAST_ID: Final = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class ChangesToken:
    """The place where a page of changes begins: all before it is known to the client.

    A full walk begins at revision 0 and takes many pages. `base` is the owner's revision when it began: the
    client had no task then, so it needs no tombstone up to there.
    """

    revision: int
    id: UUID = FIRST_ID  # at this revision, the first id that may come
    base: int = 0  # 0: no full walk

    @classmethod
    def after(cls, revision: int) -> Self:
        """Return the token of a client that knows everything up to a revision."""
        return cls(revision + 1)

    @property
    def known(self) -> int:
        """The last revision up to which the client misses no tombstone."""
        return max(self.revision - 1, self.base)

    def require_readable(self, *, revision: int, floor: int) -> None:
        """Check that no change after the token is missing.

        A token above the owner's revision comes from a database that was restored since. A client that knows
        an empty list needs no tombstone.

        Raises:
            ChangesGone: a tombstone may be missing, or the revision was never reached.

        """
        if self != ChangesToken.after(0) and not floor <= self.known <= revision:
            raise ChangesGone

    @property
    def first_tombstone(self) -> tuple[int, UUID]:
        """The place of the first tombstone that the client needs."""
        return max((self.revision, self.id), (self.base + 1, FIRST_ID))

    @classmethod
    def behind(cls, revision: int, task_id: UUID, *, base: int) -> Self:
        """Return the token of a client that knows everything up to this change."""
        return cls(revision, UUID(int=min(task_id.int + 1, LAST_ID.int)), base if base >= revision else 0)


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """One page of changes: at most the requested number, and at most `PAGE_BYTES`."""

    changes: bytes  # a JSON array of {"id": …, "task": … or null}, UTF-8; null: deleted permanently
    next: ChangesToken  # always given: what comes after this page
    more: bool  # whether there are more changes now
