"""The changes of an owner's tasks, in the order in which they were committed.

Each write increments its owner's revision and stamps it on the tasks that it writes. A task that is deleted
permanently leaves a tombstone: its id and its last revision. So each task has one place in the changes,
(revision, id), and moves to the end with each write. Tombstones of revisions up to the owner's `floor` may be
missing.
"""

from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from app.domain.errors import ChangesGone

CHANGES_MAX: Final = 200  # of one page
FIRST_ID: Final = UUID(int=0)
LAST_ID: Final = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class ChangesToken:
    """The place where a page of changes begins. The client knows every change before it.

    A client without a copy reads all tasks, from revision 0 on: a full walk, which may take many pages. It
    needs no tombstone up to `base`, the owner's revision at its first page, because it had no task then.
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
        """The revision up to which the client needs no more tombstones."""
        return max(self.revision - 1, self.base)

    def require_readable(self, *, revision: int, floor: int) -> None:
        """Raise ChangesGone if a tombstone after the token may be missing.

        Also raise it if the owner has not reached the token's revision: then the database was restored from
        an older backup. The token after revision 0 is always readable: its client has no task, and needs no
        tombstone.
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
