"""Implementations of the domain's protocols in memory. `tests/contracts` tests them too."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.api import schemas
from app.domain.changes import ChangesPage, ChangesToken
from app.domain.commands import Change, Move, Operation, Restore, choose_refusal
from app.domain.errors import (
    BrokenRule,
    DomainError,
    InvalidTask,
    KeyReused,
    NotAuthenticated,
    ResponseGone,
    TaskNotFound,
    TooManyKeys,
    TooManyTasks,
)
from app.domain.idempotency import (
    RETENTION,
    AlreadyDone,
    IdempotentRequest,
    ResponseForm,
    StorageQuota,
    StoredResponse,
)
from app.domain.identity import UserId
from app.domain.position import REACHES, between, spread
from app.domain.summary import Day, Summary
from app.domain.task import (
    Shown,
    Task,
    TaskChanges,
    TaskId,
    Versions,
    change_task,
    move_task,
    require_in_list,
    require_version,
    restore_task,
    toggle_task,
    trash_task,
)
from app.domain.task_list import NEWEST, Bookmark, Page, Selection
from tests.support.expected_json import shown, wire_task
from tests.support.selection import bookmark_of, comes_after, in_order, is_selected, summary_of


@dataclass
class MemoryStore:
    """The data that all repositories in memory share."""

    tasks: dict[tuple[UserId, TaskId], Task] = field(default_factory=dict)
    revisions: dict[UserId, int] = field(default_factory=dict)
    stamps: dict[tuple[UserId, TaskId], int] = field(default_factory=dict)  # revision of the last write
    tombstones: dict[tuple[UserId, TaskId], int] = field(default_factory=dict)  # revision of the deletion
    floors: dict[UserId, int] = field(default_factory=dict)  # see `app.domain.changes`
    responses: dict[tuple[UserId, str, str], "Stored"] = field(default_factory=dict)

    @contextmanager
    def all_or_nothing(self) -> Iterator["MemoryStore"]:
        """Undo every change of the block if a `DomainError` ends it. Yield a copy of the data from before the block."""
        before = replace(self, **{name: dict(value) for name, value in vars(self).items()})
        try:
            yield before
        except DomainError:
            vars(self).update(vars(before))
            raise


@dataclass
class Stored:
    """The stored response of an Idempotency-Key."""

    fingerprint: bytes
    response: StoredResponse | None  # None: one of its tasks was deleted permanently
    task_ids: Collection[TaskId]
    at: datetime

    @property
    def size(self) -> int:
        return len(self.response.body) if self.response else 0


@dataclass(frozen=True)
class MemoryTaskRepository:
    """The tasks of one owner, in a store that repositories may share."""

    owner: UserId
    store: MemoryStore = field(default_factory=MemoryStore)

    async def add(self, task: Task, *, at_most: int) -> Shown:
        if len(self._own_tasks()) >= at_most:
            raise TooManyTasks(at_most)
        return self._put(task)

    async def show(self, task_id: TaskId) -> Shown:
        return shown(self._get(task_id), self.owner)

    async def page(self, limit: int, *, after: Bookmark | None, selection: Selection = NEWEST) -> Page:
        there = [task for task in self._own_tasks() if (task.trashed_at is not None) == selection.trashed]
        revisions = {task.id: self.store.stamps[self.owner, task.id] for task in there}
        found = [task for task in in_order(there, selection, revisions) if is_selected(task, selection)]
        if after is not None:
            found = [task for task in found if comes_after(task, after, selection, revisions)]
        json = schemas.encode([wire_task(task, self.owner) for task in found[:limit]])
        following = bookmark_of(found[limit - 1], selection, revisions) if len(found) > limit else None
        return Page(json, following, await self.revision())

    async def revision(self) -> int:
        return self.store.revisions.get(self.owner, 0)

    async def changes(self, since: ChangesToken | None, *, limit: int) -> ChangesPage:
        revision = await self.revision()
        token = since or ChangesToken(0, base=revision)
        token.require_readable(revision=revision, floor=self.store.floors.get(self.owner, 0))
        places = [(self.store.stamps[self.owner, task.id], task.id) for task in self._own_tasks()]
        ended = [
            (at, task_id) for (owner, task_id), at in self.store.tombstones.items() if owner == self.owner
        ]
        found = sorted(
            [place for place in places if place >= (token.revision, token.id)]
            + [place for place in ended if place >= token.first_tombstone]
        )
        changes = []
        for _, task_id in found[:limit]:
            task = self.store.tasks.get((self.owner, task_id))
            changes.append({"id": str(task_id), "task": task and wire_task(task, self.owner)})
        more = len(found) > limit
        following = (
            ChangesToken.after_change(*found[limit - 1], base=token.base)
            if more
            else ChangesToken.after_revision(revision)
        )
        return ChangesPage(schemas.encode(changes), following, more)

    async def summary(self, day: Day) -> Summary:
        return summary_of([task for task in self._own_tasks() if task.trashed_at is None], day)

    async def change(
        self, task_id: TaskId, changes: TaskChanges, *, at: datetime, if_match: Versions | None = None
    ) -> Shown:
        return self._put(change_task(self._get(task_id, if_match), changes, at=at))

    async def toggle(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        return self._put(toggle_task(self._get(task_id, if_match), at=at))

    async def trash(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> None:
        self._put(trash_task(self._get(task_id, if_match), at=at))

    async def restore(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        return self._put(restore_task(self._get(task_id, if_match, anywhere=True), at=at))

    async def purge(self, task_id: TaskId, *, if_match: Versions | None = None) -> None:
        self._get(task_id, if_match, anywhere=True)
        del self.store.tasks[self.owner, task_id]
        del self.store.stamps[self.owner, task_id]
        for (owner, _, _), stored in self.store.responses.items():
            if owner == self.owner and task_id in stored.task_ids:
                stored.response = None
        self.store.tombstones[self.owner, task_id] = self._next_revision()

    async def move(self, move: Move, *, at: datetime) -> Shown:
        task = self._get(move.task_id, move.if_match)
        others = [other for other in self._in_manual_order() if other is not task]
        anchor = next((number for number, other in enumerate(others) if other.id == move.beside), None)
        if anchor is None:
            raise InvalidTask(
                (BrokenRule("before" if move.before else "after", "names no task in this list"),)
            )
        place = anchor + (0 if move.before else 1)
        around = [None, *(other.position for other in others), None]
        if self._in_manual_order() == [*others[:place], task, *others[place:]]:
            return await self.show(task.id)
        position = between(around[place], around[place + 1], at)
        if position is None:
            return self._spread(move, at)
        return self._put(move_task(task, position, at=at))

    def _spread(self, move: Move, at: datetime) -> Shown:
        task, anchor = self._get(move.task_id), self._get(move.beside)
        order = [other for other in self._in_manual_order() if other is not task]
        place = order.index(anchor)
        order.insert(place + (0 if move.before else 1), task)
        revision = self.store.revisions[self.owner]
        others = [other for other in order if other is not task]
        for tasks_on_each_side, position_max in REACHES:
            first = max(place - tasks_on_each_side, 0)
            last = min(place + 1 + tasks_on_each_side, len(order) - 1)
            around = order[first : last + 1]
            low = order[first - 1].position if first else between(None, others[0].position, at)
            high = (
                order[last + 1].position if last + 1 < len(order) else between(others[-1].position, None, at)
            )
            if low and high and (positions := spread(len(around), low, high, longest=position_max)):
                break
        for neighbour, position in zip(around, positions or [], strict=True):
            if neighbour.position != position:
                self._put(move_task(neighbour, position, at=at))
        self._count_once_since(revision)
        return shown(self._get(task.id), self.owner)

    async def apply(
        self, operations: Sequence[Operation], *, at: datetime, at_most: int
    ) -> Sequence[Shown | None]:
        results: list[Shown | None] = []
        refusals: dict[int, DomainError] = {}
        with self.store.all_or_nothing() as before:
            for number, one in enumerate(operations):
                try:
                    results.append(await self._apply(one, at=at))
                except DomainError as refusal:
                    refusals[number] = refusal
            if refusals:
                raise choose_refusal(refusals)
            if any(isinstance(one, Task) for one in operations) and len(self._own_tasks()) > at_most:
                raise TooManyTasks(at_most)
        self._count_once_since(before.revisions.get(self.owner, 0))
        return results

    async def _apply(self, one: Operation, *, at: datetime) -> Shown | None:
        match one:
            case Task():
                return self._put(one)
            case Change(task_id, changes, if_match):
                return self._put(change_task(self._get(task_id, if_match), changes, at=at))
            case Restore(task_id, if_match):
                return await self.restore(task_id, at=at, if_match=if_match)
            case _:
                await self.trash(one.task_id, at=at, if_match=one.if_match)
                return None

    def _in_manual_order(self) -> list[Task]:
        shown = [task for task in self._own_tasks() if task.trashed_at is None]
        return sorted(shown, key=lambda task: (task.position, task.id))

    def _own_tasks(self) -> list[Task]:
        return [task for (owner, _), task in self.store.tasks.items() if owner == self.owner]

    def _get(self, task_id: TaskId, if_match: Versions | None = None, *, anywhere: bool = False) -> Task:
        task = self.store.tasks.get((self.owner, task_id))
        if task is None:
            raise TaskNotFound(task_id)
        if not anywhere:
            require_in_list(task)
        require_version(task.version, if_match)
        return task

    def _put(self, task: Task) -> Shown:
        """Store a task. Increment the owner's revision only if the task differs from the stored one."""
        if self.store.tasks.get((self.owner, task.id)) != task:
            self.store.tasks[self.owner, task.id] = task
            self.store.stamps[self.owner, task.id] = self._next_revision()
        return shown(task, self.owner)

    def _next_revision(self) -> int:
        self.store.revisions[self.owner] = revision = self.store.revisions.get(self.owner, 0) + 1
        return revision

    def _count_once_since(self, revision: int) -> None:
        """Count all changes after this revision as one."""
        for place, stamp in self.store.stamps.items():
            if place[0] == self.owner:
                self.store.stamps[place] = min(stamp, revision + 1)
        self.store.revisions[self.owner] = min(self.store.revisions.get(self.owner, 0), revision + 1)


@dataclass(frozen=True, kw_only=True)
class MemoryKeyedTaskRepository(MemoryTaskRepository):
    """A `MemoryTaskRepository` for one write with an Idempotency-Key. Not for concurrent requests."""

    request: IdempotentRequest
    form: ResponseForm
    at: datetime
    quota: StorageQuota

    async def add(self, task: Task, *, at_most: int) -> Shown:
        with self._once() as save:
            return save({task.id: await super().add(task, at_most=at_most)})[task.id]

    async def change(
        self, task_id: TaskId, changes: TaskChanges, *, at: datetime, if_match: Versions | None = None
    ) -> Shown:
        with self._once() as save:
            return save({task_id: await super().change(task_id, changes, at=at, if_match=if_match)})[task_id]

    async def toggle(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        with self._once() as save:
            return save({task_id: await super().toggle(task_id, at=at, if_match=if_match)})[task_id]

    async def apply(
        self, operations: Sequence[Operation], *, at: datetime, at_most: int
    ) -> Sequence[Shown | None]:
        with self._once() as save:
            done = await super().apply(operations, at=at, at_most=at_most)
            ids = [one.id if isinstance(one, Task) else one.task_id for one in operations]
            save({task_id: task for task_id, task in zip(ids, done, strict=True) if task is not None})
            return done

    @contextmanager
    def _once(self) -> Iterator[Callable[[Mapping[TaskId, Shown]], Mapping[TaskId, Shown]]]:
        """Raise `AlreadyDone` if the key has a stored response. Yield the function that stores the response."""
        since, name = self.at - RETENTION, (self.owner, self.request.route, self.request.key)
        recent = {
            key: stored
            for key, stored in self.store.responses.items()
            if key[0] == self.owner and stored.at > since
        }
        if (stored := recent.get(name)) is not None:
            if stored.fingerprint != self.request.fingerprint:
                raise KeyReused
            if stored.response is None:
                raise ResponseGone
            raise AlreadyDone(stored.response)
        self._check_quota(recent.values(), 0, since)

        def save(tasks: Mapping[TaskId, Shown]) -> Mapping[TaskId, Shown]:
            body = self.form.body_of(task.json for task in tasks.values())
            self._check_quota(recent.values(), len(body), since)
            response = StoredResponse(self.form.status, (), body)
            self.store.responses[name] = Stored(self.request.fingerprint, response, tasks.keys(), self.at)
            return tasks

        with self.store.all_or_nothing():
            yield save

    def _check_quota(self, recent: Iterable[Stored], size: int, since: datetime) -> None:
        by_age = sorted(recent, key=lambda each: each.at)
        must_expire = 0  # how many of the oldest responses, before a response of this size fits
        while must_expire < len(by_age) and not self._fits(by_age[must_expire:], size):
            must_expire += 1
        if must_expire:
            last = by_age[must_expire - 1]
            raise TooManyKeys(int((last.at - since).total_seconds()))

    def _fits(self, stored: Sequence[Stored], size: int) -> bool:
        body_bytes = sum(each.size for each in stored) + size
        return len(stored) < self.quota.responses and body_bytes <= self.quota.body_bytes


class NameVerifier:
    """Accepts a token that is just a name, and takes it as the user id."""

    async def verify(self, token: str) -> UserId:
        if not token.replace("-", "").isalnum():
            raise NotAuthenticated("not a name")
        return UserId(token)
