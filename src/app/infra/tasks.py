"""Tasks in Neon, and the unit of work in which a request reads and changes them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from app.domain.clock import Clock
from app.domain.commands import Move, Operation
from app.domain.errors import TaskNotFound, TooManyTasks
from app.domain.idempotency import StorageQuota
from app.domain.identity import UserId
from app.domain.summary import Day, Summary
from app.domain.task import Shown, Task, TaskChanges, TaskId, Versions, require_version
from app.domain.task_list import NEWEST, Bookmark, Page, Selection
from app.domain.task_service import TaskService
from app.domain.unit_of_work import UnitOfWork
from app.infra import manual_order, task_batch, task_lists
from app.infra.idempotency import NeonStoredResponses
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import DeadlineSession, OwnerSession, PersonConcurrency
from app.infra.postgres.session import Session, Trace, TracedSession
from app.infra.statements import tasks
from app.infra.statements.revision import HOLD
from app.infra.statements.tasks import Write
from app.infra.task_rows import check_preconditions, columns, columns_of, shown

ATTEMPTS: Final = 20  # at a write that somebody else's comes between again and again


class NeonTaskRepository:
    """The tasks of one owner; see `app.domain.task_repository` for what each method promises."""

    def __init__(self, connection: Session, *, owner: UserId) -> None:
        self._session = OwnerSession(connection, owner=owner)

    async def add(self, task: Task, *, at_most: int) -> Shown:
        row = await self._session.one(tasks.INSERT, **columns_of(task), row=task.id, at_most=at_most)
        if row is None:
            raise TooManyTasks(at_most)
        return shown(row)

    async def show(self, task_id: TaskId) -> Shown:
        row = await self._session.one(tasks.SHOW, row=task_id)
        if row is None:
            raise TaskNotFound(task_id)
        return shown(row)

    async def page(self, limit: int, *, after: Bookmark | None, selection: Selection = NEWEST) -> Page:
        return await task_lists.page(self._session, limit, after, selection)

    async def revision(self) -> int:
        return await task_lists.revision(self._session)

    async def summary(self, day: Day) -> Summary:
        return await task_lists.summary(self._session, day)

    async def change(
        self, task_id: TaskId, changes: TaskChanges, *, at: datetime, if_match: Versions | None = None
    ) -> Shown:
        values = columns(changes.named())
        if not values:
            task = await self.show(task_id)
            require_version(task.version, if_match)
            return task
        write = tasks.update_of(tuple(values), conditional=if_match is not None)
        return await self._written(write, task_id, if_match, at=at, **values)

    async def toggle(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        return await self._written(tasks.toggle(conditional=if_match is not None), task_id, if_match, at=at)

    async def trash(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> None:
        await self._written(tasks.trash(conditional=if_match is not None), task_id, if_match, at=at)

    async def restore(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        write = tasks.restore(conditional=if_match is not None)
        return await self._written(write, task_id, if_match, trashed=True, at=at)

    async def purge(self, task_id: TaskId, *, if_match: Versions | None = None) -> None:
        write = tasks.purge(conditional=if_match is not None)
        async with self._session.transaction() as session:
            await session.one(HOLD)
            await self._written(write, task_id, if_match, trashed=None, session=session)

    async def move(self, move: Move, *, at: datetime) -> Shown:
        async with self._session.transaction() as session:
            return await manual_order.move(session, move, at=at)

    async def prepare(self, operations: Sequence[Operation]) -> task_batch.Rows:
        return await task_batch.rows_of(operations)

    async def apply(
        self,
        operations: Sequence[Operation],
        *,
        at: datetime,
        at_most: int,
        prepared: task_batch.Rows | None = None,
    ) -> Sequence[Shown | None]:
        rows = prepared or await self.prepare(operations)
        async with self._session.transaction() as session:
            return await task_batch.apply(session, operations, rows, at=at, at_most=at_most)

    async def _written(
        self,
        write: Write,
        task_id: TaskId,
        if_match: Versions | None,
        *,
        trashed: bool | None = False,  # where the task must be; None: anywhere
        session: OwnerSession | None = None,
        **values: object,
    ) -> Shown:
        """Write, or tell why not. A task that meets every condition a moment later is tried again."""
        if if_match is not None:
            values["versions"] = sorted(if_match)
        session = session or self._session
        for _ in range(ATTEMPTS):
            row = await session.one(write.act, row=task_id, **values)
            if row is not None:
                return shown(row)
            seen = await session.one(write.look, row=task_id, **values)
            task = check_preconditions(seen, task_id, if_match, trashed=trashed)
            if seen and not seen["differs"]:
                return task
        raise RuntimeError("a write matched no row for no known reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class NeonUnitsOfWork:
    """Makes the unit of work of each request: the one place where a request gets its rows.

    The owner is the user of the verified token.
    """

    database: Database
    concurrency: PersonConcurrency
    clock: Clock
    max_tasks: int
    storage_quota: StorageQuota
    trace: Trace | None  # traces a statement

    def of(self, owner: UserId) -> UnitOfWork:
        """Return the unit of work of one owner."""
        session: Session = DeadlineSession(self.database, self.concurrency, owner)
        if self.trace is not None:
            session = TracedSession(session, self.trace)
        return UnitOfWork(self._tasks(owner, session), partial(self._transaction, owner, session))

    @asynccontextmanager
    async def _transaction(
        self, owner: UserId, session: Session
    ) -> AsyncIterator[tuple[TaskService, NeonStoredResponses]]:
        async with session.transaction() as transaction:
            kept = NeonStoredResponses(transaction, owner=owner, at_most=self.storage_quota)
            yield self._tasks(owner, transaction), kept

    def _tasks(self, owner: UserId, session: Session) -> TaskService:
        return TaskService(NeonTaskRepository(session, owner=owner), self.clock, self.max_tasks)
