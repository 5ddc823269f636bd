"""Writes under an idempotency key in Neon."""

from collections.abc import Callable, Sequence
from datetime import datetime
from math import ceil

from asyncpg import LockNotAvailableError

from app.domain.errors import DatabaseUnavailable, KeyInFlight, KeyReused, ResponseGone, TooManyKeys
from app.domain.idempotency import (
    RETENTION,
    AlreadyDone,
    IdempotentRequest,
    ResponseForm,
    StorageQuota,
    StoredResponse,
)
from app.domain.identity import UserId
from app.domain.task import TaskId
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.session import Row, Session
from app.infra.statements import idempotency, keyed_writes
from app.infra.statements.owner_scope import Statement
from app.infra.statements.revision import LOCK_OWNER
from app.infra.task_rows import ATTEMPTS


class KeyedWrites:
    """Runs one write of one owner under a key."""

    def __init__(  # noqa: PLR0913 - all are passed by name, in one place
        self,
        connection: Session,
        *,
        owner: UserId,
        request: IdempotentRequest,
        form: ResponseForm,
        at: datetime,
        quota: StorageQuota,
    ) -> None:
        self.owner = owner
        self._session = OwnerSession(connection, owner=owner)
        self.form = form
        self._request = request
        self._quota = quota
        self._at = at
        self._since = at - RETENTION

    async def run(
        self,
        write: Statement,
        ids: Sequence[TaskId],
        check: Callable[[Sequence[Row]], None],
        **values: object,
    ) -> Sequence[Row]:
        """Do the work on these tasks and store its response, in one statement. Return a row for each task.

        If the write was not done, raise the reason. `check` raises reasons of the tasks: it gets their rows,
        each with the owner's number of tasks. `run` itself raises those that `UnitOfWork.once` lists.
        """
        key = {"route": self._request.route, "key": self._request.key, "since": self._since}
        values |= key | {
            "fingerprint": self._request.fingerprint,
            "status": self.form.status,
            "headers": [["location", f"{self.form.location}/{ids[0]}"]] if self.form.location else [],
            "kept_at": self._at,
            "responses_at_most": self._quota.responses,
            "bytes_at_most": self._quota.body_bytes,
        }
        for _ in range(ATTEMPTS):
            try:
                rows = await self._session.rows(write, **values)
            except DatabaseUnavailable as error:
                if isinstance(error.__cause__, LockNotAvailableError):
                    raise KeyInFlight from error
                raise
            if rows and rows[0]["done"]:
                return rows
            self._raise_if_stored(rows)
            seen = await self._session.rows(keyed_writes.READ_STATE, ids=ids, **key)
            self._raise_if_stored(seen)
            await self._prepare_next_attempt(rows, seen, check)
        raise RuntimeError("a write matched no row for no known reason")

    async def _prepare_next_attempt(
        self, rows: Sequence[Row], seen: Sequence[Row], check: Callable[[Sequence[Row]], None]
    ) -> None:
        """Raise the reason why a write was not done, or provide what it lacked: room, or the owner's row."""
        owner = seen[0]
        if (owner["responses"] or 0) >= self._quota.responses:
            await self._make_room(0)
            return
        check(seen)
        if owner["count"] is None:
            await self._session.rows(LOCK_OWNER)
        elif rows and owner["kept_bytes"] + rows[0]["size"] > self._quota.body_bytes:
            await self._make_room(rows[0]["size"])

    def _raise_if_stored(self, rows: Sequence[Row]) -> None:
        """Raise the fitting error if a response is stored under the key of the request."""
        if not rows or rows[0]["fingerprint"] is None:
            return
        (row,) = rows
        if row["fingerprint"] != self._request.fingerprint:
            raise KeyReused
        if row["status"] == idempotency.GONE:
            raise ResponseGone
        headers = tuple(map(tuple, row["headers"]))
        raise AlreadyDone(StoredResponse(row["status"], headers, row["body"]))

    async def _make_room(self, size: int) -> None:
        """Delete expired responses and count the others again: the old count may be too large.

        Raise TooManyKeys if there is still no room for a response of `size` bytes.
        """
        async with self._session.transaction() as session:
            await session.rows(LOCK_OWNER)
            (counted,) = await session.rows(idempotency.COUNT_ANEW, since=self._since)
            too_many = counted["kept_answers"] + 1 - self._quota.responses
            too_much = counted["kept_bytes"] + size - self._quota.body_bytes
            if too_many > 0 or too_much > 0:
                values = {"since": self._since, "responses": too_many, "bytes": too_much}
                (after,) = await session.rows(idempotency.ROOM_AFTER, **values)
                seconds = ceil(after["seconds"] or 0)
                # The response that must expire may have been stored after this request began. Then `seconds`
                # is slightly more than RETENTION.
                raise TooManyKeys(min(max(1, seconds), int(RETENTION.total_seconds())))
