"""Kept answers in Neon."""

from collections.abc import Collection
from datetime import datetime
from math import ceil

from app.domain.errors import AnswerGone, KeyInFlight, KeyReused, TooManyKeys
from app.domain.idempotency import IdempotentRequest, StorageQuota, StoredResponse
from app.domain.identity import UserId
from app.domain.task import TaskId
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.session import Session
from app.infra.statements import idempotency
from app.infra.statements.revision import HOLD

DEFAULT = StorageQuota()


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
                await self._make_room(1, since)
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
            await self._make_room(len(response.body), since)
            if await self._session.one(idempotency.KEEP, **values) is None:
                raise RuntimeError("there is room for an answer, and it was not kept")

    async def _make_room(self, octets: int, since: datetime) -> None:
        """Count anew what is kept since then: the count may be more, and what is old takes no room."""
        counted = await self._session.one(idempotency.COUNT_ANEW, since=since)
        answers, kept = (counted["kept_answers"], counted["kept_bytes"]) if counted else (0, 0)
        too_many, too_much = answers + 1 - self._at_most.answers, kept + octets - self._at_most.octets
        if too_many > 0 or too_much > 0:
            after = await self._session.one(
                idempotency.ROOM_AFTER, since=since, answers=too_many, octets=too_much
            )
            raise TooManyKeys(max(1, ceil(after["seconds"] or 0)) if after else 1)
