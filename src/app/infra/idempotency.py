"""Kept answers in Neon."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from math import ceil
from typing import Any

from asyncpg import LockNotAvailableError, UniqueViolationError

from app.domain.errors import AnswerGone, DatabaseUnavailable, KeyInFlight, KeyReused, TooManyKeys
from app.domain.idempotency import (
    RETENTION,
    AlreadyAnswered,
    IdempotentRequest,
    ResponseForm,
    StorageQuota,
    StoredResponse,
)
from app.domain.identity import UserId
from app.domain.task import Shown, TaskId
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.session import Row, Session
from app.infra.statements import idempotency, keyed_writes
from app.infra.statements.owner_scope import Statement
from app.infra.statements.revision import HOLD
from app.infra.task_rows import ATTEMPTS, shown

DEFAULT = StorageQuota()


class KeyedWrites:
    """Runs one write of one owner under a key."""

    def __init__(  # noqa: PLR0913 - keywords, each given at its one call
        self,
        connection: Session,
        *,
        owner: UserId,
        request: IdempotentRequest,
        form: ResponseForm,
        at: datetime,
        quota: StorageQuota = DEFAULT,
    ) -> None:
        self.owner = owner
        self._connection = connection
        self._session = OwnerSession(connection, owner=owner)
        self._request = request
        self._form = form
        self._quota = quota
        self._at = at
        self._since = at - RETENTION

    async def run(
        self, write: Statement, task_id: TaskId, check: Callable[[Row], None], **values: object
    ) -> Shown:
        """Do the work and store its response, which shows one task, in one statement.

        `check` looks at the owner and the task after a write that was not done, and raises the reason.

        Raises:
            AlreadyAnswered, KeyReused, AnswerGone, KeyInFlight, TooManyKeys: as `UnitOfWork.once` has it.

        """
        location = self._form.location
        key = {
            "row": task_id,
            "route": self._request.route,
            "key": self._request.key,
            "since": self._since,
        }
        values |= key | {
            "fingerprint": self._request.fingerprint,
            "status": self._form.status,
            "headers": [["location", f"{location}/{task_id}"]] if location else [],
            "kept_at": self._at,
            "answers_at_most": self._quota.answers,
            "octets_at_most": self._quota.octets,
        }
        for _ in range(ATTEMPTS):
            try:
                row = await self._session.one(write, **values)
            except UniqueViolationError:
                row = None  # a request under this key ended while this one waited, or a day ago
            except DatabaseUnavailable as error:
                if isinstance(error.__cause__, LockNotAvailableError):
                    raise KeyInFlight from error
                raise
            if row is not None:
                if row["done"]:
                    return shown(row)
                self._expect_new(row)
            await self._explain(row, check, key)
        raise RuntimeError("a write matched no row for no known reason")

    async def _explain(self, row: Row | None, check: Callable[[Row], None], key: dict[str, object]) -> None:
        """Raise why a write was not done, or remove what was in its way."""
        (seen,) = await self._session.rows(keyed_writes.LOOK, **key)
        self._expect_new(seen)
        if (seen["answers"] or 0) >= self._quota.answers:
            await self._make_room(0)
            return
        check(seen)
        if seen["count"] is None:
            await self._session.rows(HOLD)
        elif row is None:
            await self._session.rows(keyed_writes.FORGET, **key)
        elif seen["kept_bytes"] + len(row["json"]) > self._quota.octets:
            await self._make_room(len(row["json"]))

    def _expect_new(self, row: Row) -> None:
        """Raise what a row says of a response that is stored under the key, if there is one."""
        if row["fingerprint"] is None:
            return
        if row["fingerprint"] != self._request.fingerprint:
            raise KeyReused
        if row["status"] == idempotency.GONE:
            raise AnswerGone
        headers = tuple(map(tuple, row["headers"]))
        raise AlreadyAnswered(StoredResponse(row["status"], headers, row["body"]))

    async def _make_room(self, octets: int) -> None:
        async with self._session.transaction() as session:
            await session.rows(HOLD)
            await _make_room(session, octets, self._since, self._quota)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[tuple[OwnerSession, Callable[..., Any]]]:
        """Run several statements under the key. The caller ends with the one that stores the response."""
        async with self._connection.transaction() as transaction:
            responses = NeonStoredResponses(transaction, owner=self.owner, at_most=self._quota)
            if (stored := await responses.claim(self._request, since=self._since)) is not None:
                raise AlreadyAnswered(stored)

            async def keep(tasks: Mapping[TaskId, Shown]) -> None:
                body = self._form.body_of(task.json for task in tasks.values())
                await responses.keep(
                    self._request,
                    StoredResponse(self._form.status, (), body),
                    shows=tasks,
                    at=self._at,
                    since=self._since,
                )

            yield OwnerSession(transaction, owner=self.owner), keep


async def _make_room(session: OwnerSession, octets: int, since: datetime, quota: StorageQuota) -> None:
    """Count anew what is kept since then: the count may be more, and what is old takes no room.

    The owner's row must be held before, in a statement of its own.
    """
    counted = await session.one(idempotency.COUNT_ANEW, since=since)
    answers, kept = (counted["kept_answers"], counted["kept_bytes"]) if counted else (0, 0)
    too_many, too_much = answers + 1 - quota.answers, kept + octets - quota.octets
    if too_many > 0 or too_much > 0:
        after = await session.one(idempotency.ROOM_AFTER, since=since, answers=too_many, octets=too_much)
        seconds = ceil(after["seconds"] or 0) if after else 0
        # A response that was stored after this request began could give a moment more than a day.
        raise TooManyKeys(min(max(1, seconds), int(RETENTION.total_seconds())))


class NeonStoredResponses:
    """The answers of one owner; see `app.domain.idempotency` for what each method promises."""

    def __init__(self, transaction: Session, *, owner: UserId, at_most: StorageQuota = DEFAULT) -> None:
        self._session = OwnerSession(transaction, owner=owner)
        self._at_most = at_most

    async def claim(self, keyed: IdempotentRequest, *, since: datetime) -> StoredResponse | None:
        lock = await self._session.one(idempotency.LOCK, route=keyed.route, key=keyed.key)
        if lock is None or not lock["taken"]:
            raise KeyInFlight
        row = await self._session.one(idempotency.FIND, route=keyed.route, key=keyed.key, since=since)
        if row is None:
            # A write that changes nothing does not hold its owner's row by itself: its answer could show
            # a task that is deleted for good meanwhile.
            held = await self._session.one(HOLD)
            if held is None or held["kept_answers"] >= self._at_most.answers:
                await _make_room(self._session, 1, since, self._at_most)
            return None
        if row["fingerprint"] != keyed.fingerprint:
            raise KeyReused
        if row["status"] == idempotency.GONE:
            raise AnswerGone
        return StoredResponse(row["status"], tuple(map(tuple, row["headers"])), row["body"])

    async def keep(
        self,
        keyed: IdempotentRequest,
        response: StoredResponse,
        *,
        shows: Collection[TaskId],
        at: datetime,
        since: datetime,
    ) -> None:
        values = {
            "route": keyed.route,
            "key": keyed.key,
            "fingerprint": keyed.fingerprint,
            "status": response.status,
            "headers": list(map(list, response.headers)),
            "body": response.body,
            "kept_at": at,
            "task_ids": list(shows),
            "since": since,
            "octets": len(response.body),
            "answers_at_most": self._at_most.answers,
            "octets_at_most": self._at_most.octets,
        }
        if await self._session.one(idempotency.KEEP, **values) is None:
            await _make_room(self._session, len(response.body), since, self._at_most)
            if await self._session.one(idempotency.KEEP, **values) is None:
                raise RuntimeError("there is room for an answer, and it was not kept")
