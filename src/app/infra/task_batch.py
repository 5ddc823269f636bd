"""Many operations in one statement."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.domain.commands import Change, Operation, Restore, Trash, first_of
from app.domain.errors import DomainError, TooManyTasks
from app.domain.task import Shown, Task, TaskId
from app.event_loop import TimeSlice
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.session import Row
from app.infra.statements import batch
from app.infra.statements.revision import HOLD
from app.infra.task_rows import ATTEMPTS, check_preconditions, columns, columns_of, shown

_KINDS: Final[Mapping[type, str]] = {Change: "change", Trash: "trash", Restore: "restore"}

Rows = Sequence[str]
"""The operations, each in JSON as PostgreSQL reads it."""


async def rows_of(operations: Sequence[Operation]) -> Rows:
    """Return the operations as rows. Words of long texts take a while to find: do it before a transaction."""
    turns = TimeSlice()
    rows = []
    for operation in operations:
        rows.append(json.dumps(_row(operation), default=str, ensure_ascii=False))  # default: ids, moments
        await turns.yield_to_others()
    return rows


async def apply(
    session: OwnerSession, operations: Sequence[Operation], rows: Rows, *, at: datetime, at_most: int
) -> Sequence[Shown | None]:
    """Do all of it, or raise and do nothing."""
    created = sum(isinstance(one, Task) for one in operations)
    values = {"given": f"[{','.join(rows)}]", "at": at, "at_most": at_most}
    for _ in range(ATTEMPTS):
        done = await session.rows(batch.APPLY, **values, created=created, count=len(operations))
        if done and done[0]["done"]:
            results = {row["id"]: shown(row) for row in done}
            return [None if isinstance(one, Trash) else results[_id(one)] for one in operations]
        seen = await session.rows(batch.LOOK, ids=[_id(one) for one in operations])
        _check(operations, {row["id"]: row for row in seen})
        count = seen[0]["count"]
        if created and (count or 0) + created > at_most:
            raise TooManyTasks(at_most)
        if count is None:
            await session.rows(HOLD)
    raise RuntimeError("a write matched no row for no known reason")


def _check(operations: Sequence[Operation], seen: Mapping[TaskId, Row]) -> None:
    """Raise what speaks against an operation."""
    refusals: dict[int, DomainError] = {}
    for number, one in enumerate(operations):
        if isinstance(one, Task):
            continue
        try:
            check_preconditions(
                seen.get(one.task_id), one.task_id, one.if_match, trashed=isinstance(one, Restore)
            )
        except DomainError as refusal:
            refusals[number] = refusal
    if refusals:
        raise first_of(refusals)


def _id(operation: Operation) -> TaskId:
    return operation.id if isinstance(operation, Task) else operation.task_id


def _row(operation: Operation) -> dict[str, Any]:
    if isinstance(operation, Task):
        return {"id": operation.id, "kind": "create", **columns_of(operation)}
    row: dict[str, Any] = {"id": operation.task_id, "kind": _KINDS[type(operation)]}
    if operation.if_match is not None:
        row["versions"] = sorted(operation.if_match)
    if isinstance(operation, Change):
        values = columns(operation.changes.named())
        row |= {"names": list(values), **values}
    return row
