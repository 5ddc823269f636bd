"""The changes of an owner's tasks, in the order in which they were committed.

Each write increments its owner's revision and stamps it on the tasks that it writes. A task that is deleted
permanently leaves a tombstone: its id and its last revision. So each task has exactly one place in the
changes, (revision, id), and moves to the end with each write. Old tombstones are dropped: those with a
revision up to the owner's `floor` may be missing, and all later ones are stored.
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
    """The place where a page of changes begins. The client knows every change before it.

    A client without a copy reads all tasks, from revision 0 on: a full walk, which may take many pages.
    `base` is the owner's revision at its first page. The client had no task then, so it needs no tombstone up
    to `base`.
    """

    revision: int
    id: UUID = FIRST_ID  # at this revision, the first id of the page
    base: int = 0  # 0: no full walk

    @classmethod
    def after_revision(cls, revision: int) -> Self:
        """Return the token of a client that knows everything up to a revision."""
        return cls(revision + 1)

    @property
    def complete_until(self) -> int:
        """The last revision up to which the client lacks no tombstone."""
        return max(self.revision - 1, self.base)

    def require_readable(self, *, revision: int, floor: int) -> None:
        """Check that no change after the token is missing.

        If the token is above the owner's revision, the database was restored from a backup after the token
        was issued. The token after revision 0 is always readable: its client has no task, and needs no
        tombstone.

        Raises:
            ChangesGone: a tombstone may be missing, or the owner has not reached the token's revision.
        """
        if self != ChangesToken.after_revision(0) and not floor <= self.complete_until <= revision:
            raise ChangesGone

    @property
    def first_tombstone(self) -> tuple[int, UUID]:
        """The place of the first tombstone that the client needs."""
        return max((self.revision, self.id), (self.base + 1, FIRST_ID))

    @classmethod
    def after_change(cls, revision: int, task_id: UUID, *, base: int) -> Self:
        """Return the token of a client that knows everything up to this change."""
        return cls(revision, UUID(int=min(task_id.int + 1, LAST_ID.int)), base if base >= revision else 0)


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """One page of changes: at most the requested number, and at most `PAGE_BYTES`."""

    changes: bytes  # a JSON array of {"id": …, "task": … or null}, UTF-8; null: deleted permanently
    next: ChangesToken  # where the next page begins, even if there are no more changes now
    more: bool  # whether there are more changes now
