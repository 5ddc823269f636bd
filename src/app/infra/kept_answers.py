"""Kept answers in Neon."""

from datetime import datetime

from app.domain.errors import KeyInFlight, KeyReused
from app.domain.identity import UserId
from app.domain.kept_answers import KeyedRequest, Told
from app.infra.owned import Connection, OwnedConnection
from app.infra.statements import kept_answers


class NeonKeptAnswers:
    """The answers of one owner; see `app.domain.kept_answers` for what each method promises."""

    def __init__(self, transaction: Connection, *, owner: UserId) -> None:
        self._mine = OwnedConnection(transaction, owner=owner)

    async def claim(self, asked: KeyedRequest, *, since: datetime) -> Told | None:
        lock = await self._mine.one(kept_answers.LOCK, route=asked.route, key=asked.key)
        if lock is None or not lock["taken"]:
            raise KeyInFlight
        row = await self._mine.one(kept_answers.FIND, route=asked.route, key=asked.key, since=since)
        if row is None:
            return None
        if row["fingerprint"] != asked.fingerprint:
            raise KeyReused
        return Told(row["status"], tuple(map(tuple, row["headers"])), row["body"])

    async def keep(self, asked: KeyedRequest, told: Told, *, at: datetime, since: datetime) -> None:
        await self._mine.rows(
            kept_answers.KEEP,
            route=asked.route,
            key=asked.key,
            fingerprint=asked.fingerprint,
            status=told.status,
            headers=list(map(list, told.headers)),
            body=told.body,
            kept_at=at,
            since=since,
        )
