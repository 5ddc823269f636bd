"""Runs a batch: many operations in one statement."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, Final

from app.domain.commands import Change, Operation, Restore, Trash, choose_refusal
from app.domain.errors import DomainError, TooManyTasks
from app.domain.task import Shown, Task, TaskId
from app.event_loop import TimeSlice
from app.infra.postgres.owner_session import OwnerSession
from app.infra.postgres.session import Row
from app.infra.statements import batch as statements
from app.infra.statements.revision import LOCK_OWNER
from app.infra.task_rows import ATTEMPTS, check_preconditions, columns, columns_of_task, shown

_KINDS: Final[Mapping[type, str]] = {Change: "change", Trash: "trash", Restore: "restore"}


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations, and the values of the statement that does them."""

    operations: Sequence[Operation]
    at_most: int
    values: dict[str, object]

    @property
    def ids(self) -> list[TaskId]:
        """The tasks, in the order of the operations."""
        return [_id(one) for one in self.operations]

    def results(self, rows: Sequence[Row]) -> Sequence[Shown | None]:
        """Return what each operation shows; None: it moved its task to the trash."""
        shown_by_id = {row["id"]: shown(row) for row in rows}
        return [None if isinstance(one, Trash) else shown_by_id[_id(one)] for one in self.operations]

    def check(self, seen: Sequence[Row]) -> None:
        """Raise the refusal if an operation must be refused. `seen` has the rows of the tasks."""
        tasks = {row["id"]: row for row in seen}
        refusals: dict[int, DomainError] = {}
        for number, one in enumerate(self.operations):
            if isinstance(one, Task):
                continue
            try:
                check_preconditions(
                    tasks.get(one.task_id), one.task_id, one.if_match, trashed=isinstance(one, Restore)
                )
            except DomainError as refusal:
                refusals[number] = refusal
        if refusals:
            raise choose_refusal(refusals)
        created = sum(isinstance(one, Task) for one in self.operations)
        if created and (seen[0]["count"] or 0) + created > self.at_most:
            raise TooManyTasks(self.at_most)


async def prepare(operations: Sequence[Operation], *, at: datetime, at_most: int) -> Batch:
    """Return the batch. Finding the words of long texts takes time, so other requests run in between."""
    time_slice, rows, place = TimeSlice(), [], count(1)
    for operation in operations:
        row = _row(operation)
        if not isinstance(operation, Trash):
            row["place"] = next(place)
        text = json.dumps(row, default=str, ensure_ascii=False)  # `default` is for ids and times
        rows.append(text.encode())
        await time_slice.yield_to_others()
    values: dict[str, object] = {
        "given": b"[%b]" % b",".join(rows),
        "at": at,
        "at_most": at_most,
        "created": sum(isinstance(one, Task) for one in operations),
        "count": len(operations),
    }
    return Batch(operations, at_most, values)


async def apply(session: OwnerSession, batch: Batch) -> Sequence[Shown | None]:
    """Do all operations, or raise and do none."""
    for _ in range(ATTEMPTS):
        done = await session.rows(statements.APPLY, **batch.values)
        if done and done[0]["done"]:
            return batch.results(done)
        seen = await session.rows(statements.READ_STATE, ids=batch.ids)
        batch.check(seen)
        if seen[0]["count"] is None:
            await session.rows(LOCK_OWNER)
    raise RuntimeError("a write matched no row for no known reason")


def _id(operation: Operation) -> TaskId:
    return operation.id if isinstance(operation, Task) else operation.task_id


def _row(operation: Operation) -> dict[str, Any]:
    if isinstance(operation, Task):
        return {"id": operation.id, "kind": "create", **columns_of_task(operation)}
    row: dict[str, Any] = {"id": operation.task_id, "kind": _KINDS[type(operation)]}
    if operation.if_match is not None:
        row["versions"] = sorted(operation.if_match)
    if isinstance(operation, Change):
        values = columns(operation.changes.given_fields())
        row |= {"names": list(values), **values}
    return row
