"""Reads changes of one owner's tasks."""

from app.domain.changes import FIRST_ID, ChangesPage, ChangesToken
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.session import Row
from app.infra.statements.changes import PAGE, STATE

BEGINNING = ChangesToken(0, base=2**63 - 2)  # of a full walk, which needs no tombstone


def values_of(since: ChangesToken | None, limit: int) -> dict[str, object]:
    """Return the values of the statement."""
    token = since or BEGINNING
    ended_revision, ended_first = token.first_tombstone
    return {
        "revision": token.revision,
        "first": token.id,
        "ended_revision": ended_revision,
        "ended_first": ended_first,
        "limit": limit + 1,  # one more shows whether there is a next page
    }


async def page(session: OwnerSession, since: ChangesToken | None, limit: int) -> ChangesPage:
    """Read a page. If it is too large, read it again with a quarter of its changes.

    A returning client mostly finds nothing new. So the owner's row is read first, which costs much less.
    """
    if since is not None and since.id == FIRST_ID:
        revision = _readable_revision(await session.one(STATE), since)
        if since == ChangesToken.after_revision(revision):
            return ChangesPage(b"[]", since, more=False)
    (row,) = await session.rows(PAGE, **values_of(since, limit))
    revision = _readable_revision(row, since)
    found = row["shown"] or ()
    if row["shown"] is not None and not found:  # TOO_LARGE
        return await page(session, since, limit // 4)
    changes = b"[" + b",".join(found[:limit]) + b"]"
    if len(found) <= limit:
        return ChangesPage(changes, ChangesToken.after_revision(revision), more=False)
    base = revision if since is None else since.base
    return ChangesPage(
        changes, ChangesToken.after_change(row["last_revision"], row["last_id"], base=base), more=True
    )


def _readable_revision(row: Row | None, since: ChangesToken | None) -> int:
    """Return the owner's revision, if no change after the token is missing."""
    revision, floor = (row["revision"] or 0, row["floor"] or 0) if row else (0, 0)
    if since is not None:
        since.require_readable(revision=revision, floor=floor)
    return revision
