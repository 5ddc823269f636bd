"""Writes with an Idempotency-Key, without HTTP."""

import asyncio
from datetime import datetime
from typing import Final
from uuid import uuid4

from app.domain.idempotency import IdempotentRequest, ResponseForm, StorageQuota
from app.domain.identity import UserId
from app.infra.idempotency import KeyedWrites
from app.infra.postgres.database import Database
from app.infra.postgres.session import Session
from app.infra.statements.owner_scope import Statement
from app.infra.tasks import NeonKeyedTaskRepository, NeonTaskRepository
from tests.support.factories import NOON

DEFAULT_QUOTA: Final = StorageQuota()
FORM: Final = ResponseForm()


def keyed(  # noqa: PLR0913 - keywords
    connection: Session,
    owner: UserId,
    key: str | None = None,
    *,
    at: datetime = NOON,
    quota: StorageQuota = DEFAULT_QUOTA,
    form: ResponseForm = FORM,
) -> NeonKeyedTaskRepository:
    """Return an owner's tasks for one write with the Idempotency-Key `key`; None: with a new key."""
    request = IdempotentRequest("create", key or str(uuid4()), b"x")
    writes = KeyedWrites(connection, owner=owner, request=request, form=form, at=at, quota=quota)
    return NeonKeyedTaskRepository(connection, writes)


def with_new_key(tasks: NeonTaskRepository, form: ResponseForm = FORM) -> NeonKeyedTaskRepository:
    """Return the same owner's tasks, on the same connection, for one write with a new Idempotency-Key."""
    return keyed(tasks._session._connection, tasks._session._owner, form=form)


async def until_blocked(database: Database, count: int) -> None:
    """Wait until exactly this many statements wait for a lock."""
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(5):
        while len(await database.fetch(Statement(query, ()), {})) != count:  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.01)
