"""Tasks in Neon, and the unit of work in which a request reads and changes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.domain.changes import ChangesPage, ChangesToken
from app.domain.clock import Clock
from app.domain.commands import Move, Operation
from app.domain.errors import TaskNotFound, TooManyTasks
from app.domain.idempotency import IdempotentRequest, ResponseForm, StorageQuota
from app.domain.identity import UserId
from app.domain.summary import Day, Summary
from app.domain.task import Shown, Task, TaskChanges, TaskId, Versions, require_version
from app.domain.task_list import NEWEST, Bookmark, Page, Selection
from app.domain.task_service import TaskService
from app.domain.unit_of_work import UnitOfWork
from app.infra import manual_order, task_batch, task_changes, task_lists
from app.infra.idempotency import KeyedWrites
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import Announce, DeadlineSession, OwnerSession, PersonConcurrency
from app.infra.postgres.session import Row, Session, Trace, TracedSession
from app.infra.statements import keyed_writes, tasks
from app.infra.statements.batch import APPLY_KEYED
from app.infra.statements.lists import REVISION
from app.infra.statements.owner_scope import Statement
from app.infra.statements.revision import LOCK_OWNER
from app.infra.statements.tasks import Write
from app.infra.task_rows import ATTEMPTS, check_preconditions, columns, columns_of_task, shown


class NeonTaskRepository:
    """The tasks of one owner; see `app.domain.task_repository` for what each method promises."""

    def __init__(self, connection: Session, *, owner: UserId) -> None:
        self._session = OwnerSession(connection, owner=owner)

    async def add(self, task: Task, *, at_most: int) -> Shown:
        row = await self._session.one(tasks.INSERT, **columns_of_task(task), task_id=task.id, at_most=at_most)
        if row is None:
            raise TooManyTasks(at_most)
        return shown(row)

    async def show(self, task_id: TaskId) -> Shown:
        row = await self._session.one(tasks.SHOW, task_id=task_id)
        if row is None:
            raise TaskNotFound(task_id)
        return shown(row)

    async def page(self, limit: int, *, after: Bookmark | None, selection: Selection = NEWEST) -> Page:
        return await task_lists.page(self._session, limit, after, selection)

    async def revision(self) -> int:
        row = await self._session.one(REVISION)
        return row["revision"] if row else 0

    async def changes(self, since: ChangesToken | None, *, limit: int) -> ChangesPage:
        return await task_changes.page(self._session, since, limit)

    async def summary(self, day: Day) -> Summary:
        return await task_lists.summary(self._session, day)

    async def change(
        self, task_id: TaskId, changes: TaskChanges, *, at: datetime, if_match: Versions | None = None
    ) -> Shown:
        values = columns(changes.given_fields())
        if not values:
            task = await self.show(task_id)
            require_version(task.version, if_match)
            return task
        write = tasks.update_of(tuple(values), conditional=if_match is not None)
        return await self._write(write, task_id, if_match, at=at, **values)

    async def toggle(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        return await self._write(tasks.toggle(conditional=if_match is not None), task_id, if_match, at=at)

    async def trash(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> None:
        await self._write(tasks.trash(conditional=if_match is not None), task_id, if_match, at=at)

    async def restore(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        write = tasks.restore(conditional=if_match is not None)
        return await self._write(write, task_id, if_match, trashed=True, at=at)

    async def purge(self, task_id: TaskId, *, if_match: Versions | None = None) -> None:
        write = tasks.purge(conditional=if_match is not None)
        values = {"task_id": task_id, "versions": sorted(if_match or ())}
        if await self._session.one(write.change, **values) is not None:
            return
        seen = await self._session.one(write.read_state, **values)
        check_preconditions(seen, task_id, if_match, trashed=None)
        async with self._session.transaction() as session:  # another write came in between: lock it out
            await session.one(LOCK_OWNER)
            await self._write(write, task_id, if_match, trashed=None, session=session)

    async def move(self, move: Move, *, at: datetime) -> Shown:
        return await manual_order.move(self._session, move, at=at)

    async def apply(
        self, operations: Sequence[Operation], *, at: datetime, at_most: int
    ) -> Sequence[Shown | None]:
        batch = await task_batch.prepare(operations, at=at, at_most=at_most)
        return await task_batch.apply(self._session, batch)

    async def _write(
        self,
        write: Write,
        task_id: TaskId,
        if_match: Versions | None,
        *,
        trashed: bool | None = False,  # where the task must be; None: anywhere
        session: OwnerSession | None = None,
        **values: object,
    ) -> Shown:
        """Write, or raise the reason why not. If nothing would change, return the task as it is.

        If no row matched, but all conditions hold when the task is read again, the write is retried.
        """
        if if_match is not None:
            values["versions"] = sorted(if_match)
        session = session or self._session
        for _ in range(ATTEMPTS):
            row = await session.one(write.change, task_id=task_id, **values)
            if row is not None:
                return shown(row)
            seen = await session.one(write.read_state, task_id=task_id, **values)
            task = check_preconditions(seen, task_id, if_match, trashed=trashed)
            if seen and not seen["differs"]:  # the task has the new values already
                return task
        raise RuntimeError("a write matched no row for no known reason")


class NeonKeyedTaskRepository(NeonTaskRepository):
    """The repository for one `add`, `change`, `toggle` or `apply` under a key. It stores the response."""

    def __init__(self, connection: Session, writes: KeyedWrites) -> None:
        super().__init__(connection, owner=writes.owner)
        self._writes = writes

    async def add(self, task: Task, *, at_most: int) -> Shown:
        def check(seen: Sequence[Row]) -> None:
            if (seen[0]["count"] or 0) >= at_most:
                raise TooManyTasks(at_most)

        values = columns_of_task(task) | {"task_id": task.id, "at_most": at_most}
        (row,) = await self._writes.run(keyed_writes.CREATE, [task.id], check, **values)
        return shown(row)

    async def change(
        self, task_id: TaskId, changes: TaskChanges, *, at: datetime, if_match: Versions | None = None
    ) -> Shown:
        values = columns(changes.given_fields())
        write = keyed_writes.update_of(tuple(values), conditional=if_match is not None)
        return await self._change(write, task_id, if_match, at=at, **values)

    async def toggle(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        write = keyed_writes.toggle(conditional=if_match is not None)
        return await self._change(write, task_id, if_match, at=at)

    async def _change(
        self, write: Statement, task_id: TaskId, if_match: Versions | None, **values: object
    ) -> Shown:
        def check(seen: Sequence[Row]) -> None:
            task = seen[0] if seen[0]["id"] is not None else None
            check_preconditions(task, task_id, if_match, trashed=False)

        values |= {"task_id": task_id, "versions": sorted(if_match or ())}
        (row,) = await self._writes.run(write, [task_id], check, **values)
        return shown(row)

    async def apply(
        self, operations: Sequence[Operation], *, at: datetime, at_most: int
    ) -> Sequence[Shown | None]:
        batch = await task_batch.prepare(operations, at=at, at_most=at_most)
        *texts, ending = self._writes.form.texts  # between the tasks, and after the last one
        values = batch.values | {"texts": texts, "ending": ending}
        return batch.results(await self._writes.run(APPLY_KEYED, batch.ids, batch.check, **values))


@dataclass(frozen=True, slots=True, kw_only=True)
class NeonUnitsOfWork:
    """Makes the unit of work of each request. The owner is the user of the verified token."""

    database: Database
    concurrency: PersonConcurrency
    clock: Clock
    max_tasks: int
    storage_quota: StorageQuota
    trace: Trace | None  # traces a statement
    announce: Announce

    def of(self, owner: UserId) -> UnitOfWork:
        """Return the unit of work of one owner."""
        session: Session = DeadlineSession(self.database, self.concurrency, owner, self.announce)
        if self.trace is not None:
            session = TracedSession(session, self.trace)
        tasks = NeonTaskRepository(session, owner=owner)
        return UnitOfWork(self._service(tasks), partial(self._once, owner, session))

    def _once(
        self, owner: UserId, session: Session, request: IdempotentRequest, form: ResponseForm
    ) -> TaskService:
        writes = KeyedWrites(
            session, owner=owner, request=request, form=form, at=self.clock(), quota=self.storage_quota
        )
        return self._service(NeonKeyedTaskRepository(session, writes))

    def _service(self, tasks: NeonTaskRepository) -> TaskService:
        return TaskService(tasks, self.clock, self.max_tasks)
