"""Many operations in a few statements, within a transaction."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.domain.commands import Change, Operation, Restore, Trash, first_of
from app.domain.errors import DomainError, TooManyTasks
from app.domain.task import Shown, Task, TaskId
from app.event_loop import TimeSlice
from app.infra.postgres.owner_session import OwnerSession
from app.infra.statements import batch
from app.infra.statements.owner_scope import Statement
from app.infra.statements.revision import HOLD
from app.infra.task_rows import check_preconditions, columns, columns_of, shown

Numbered = Sequence[tuple[int, Operation]]

_STATEMENTS: Final[Mapping[type, Statement]] = {
    Change: batch.CHANGE,
    Trash: batch.TRASH,
    Restore: batch.RESTORE,
}


Rows = Mapping[type, Sequence[str]]
"""By kind of operation, each in JSON as PostgreSQL reads it."""


async def rows_of(operations: Sequence[Operation]) -> Rows:
    """Return the operations as rows. Words of long texts take a while to find: do it before a transaction."""
    turns = TimeSlice()
    rows: dict[type, list[str]] = {kind: [] for kind in (*_STATEMENTS, Task)}
    for operation in operations:
        row = json.dumps(_row(operation), default=str, ensure_ascii=False)  # default: ids, moments
        rows[type(operation)].append(row)
        await turns.yield_to_others()
    return rows


async def apply(
    session: OwnerSession, operations: Sequence[Operation], rows: Rows, *, at: datetime, at_most: int
) -> Sequence[Shown | None]:
    """Do all of it, or raise. The caller commits or rolls back the transaction."""
    (held,) = await session.rows(HOLD)
    results: dict[TaskId, Shown] = {}
    for kind, statement in _STATEMENTS.items():
        if some := rows[kind]:
            results |= await _done(session, statement, some, at=at)
    changed = len(results)
    results |= await _unchanged(session, operations, results)
    if new := rows[Task]:
        if held["tasks"] + len(new) > at_most:
            raise TooManyTasks(at_most)
        results |= await _done(session, batch.INSERT, new)
    if changed or new:
        await session.rows(batch.COUNT, more=len(new))
    return [None if isinstance(one, Trash) else results[_id(one)] for one in operations]


async def _done(
    session: OwnerSession, statement: Statement, rows: Sequence[str], **values: object
) -> dict[TaskId, Shown]:
    given = f"[{','.join(rows)}]"
    return {row["id"]: shown(row) for row in await session.rows(statement, given=given, **values)}


async def _unchanged(
    session: OwnerSession, operations: Sequence[Operation], results: Mapping[TaskId, Shown]
) -> dict[TaskId, Shown]:
    """Return the tasks that are as they shall be already; raise what speaks against the others."""
    left = {
        number: one
        for number, one in enumerate(operations)
        if not isinstance(one, Task) and one.task_id not in results
    }
    if not left:
        return {}
    seen = {row["id"]: row for row in await session.rows(batch.LOOK, ids=_ids(left.values()))}
    found: dict[TaskId, Shown] = {}
    refusals: dict[int, DomainError] = {}
    for number, one in left.items():
        try:
            found[one.task_id] = check_preconditions(
                seen.get(one.task_id), one.task_id, one.if_match, trashed=isinstance(one, Restore)
            )
        except DomainError as refusal:
            refusals[number] = refusal
    if refusals:
        raise first_of(refusals)
    if not all(isinstance(one, Change) for one in left.values()):
        raise RuntimeError("a write matched no row for no known reason")
    return found


def _ids(operations: Iterable[Change | Trash | Restore]) -> list[TaskId]:
    return [one.task_id for one in operations]


def _id(operation: Operation) -> TaskId:
    return operation.id if isinstance(operation, Task) else operation.task_id


def _row(operation: Operation) -> dict[str, Any]:
    if isinstance(operation, Task):
        return {"id": operation.id, **columns_of(operation)}
    row: dict[str, Any] = {"id": operation.task_id}
    if operation.if_match is not None:
        row["versions"] = sorted(operation.if_match)
    if isinstance(operation, Change):
        values = columns(operation.changes.named())
        row |= {"names": list(values), **values}
    return row
