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
from app.domain.identity import Principal, UserId
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
class Shelf:
    """The data that all repositories in memory share."""

    tasks: dict[tuple[UserId, TaskId], Task] = field(default_factory=dict)
    revisions: dict[UserId, int] = field(default_factory=dict)
    stamps: dict[tuple[UserId, TaskId], int] = field(default_factory=dict)  # each task's last revision
    tombstones: dict[tuple[UserId, TaskId], int] = field(default_factory=dict)  # never dropped
    floors: dict[UserId, int] = field(default_factory=dict)
    responses: dict[tuple[UserId, str, str], "Stored"] = field(default_factory=dict)

    @contextmanager
    def all_or_nothing(self) -> Iterator["Shelf"]:
        """Undo everything if an error ends the block; yield what it was before."""
        before = replace(self, **{name: dict(value) for name, value in vars(self).items()})
        try:
            yield before
        except DomainError:
            vars(self).update(vars(before))
            raise


@dataclass
class Stored:
    """The response to one request."""

    fingerprint: bytes
    response: StoredResponse | None  # None: it is gone
    shows: Collection[TaskId]
    at: datetime

    @property
    def size(self) -> int:
        return len(self.response.body) if self.response else 0


@dataclass(frozen=True)
class MemoryTaskRepository:
    """The tasks of one owner, on a shelf that may be shared."""

    owner: UserId
    shelf: Shelf = field(default_factory=Shelf)

    async def add(self, task: Task, *, at_most: int) -> Shown:
        if len(self._session()) >= at_most:
            raise TooManyTasks(at_most)
        return self._put(task)

    async def show(self, task_id: TaskId) -> Shown:
        return shown(self._get(task_id), self.owner)

    async def page(self, limit: int, *, after: Bookmark | None, selection: Selection = NEWEST) -> Page:
        there = [task for task in self._session() if (task.trashed_at is not None) == selection.trashed]
        revisions = {task.id: self.shelf.stamps[self.owner, task.id] for task in there}
        found = [task for task in in_order(there, selection, revisions) if is_selected(task, selection)]
        if after is not None:
            found = [task for task in found if comes_after(task, after, selection, revisions)]
        json = schemas.encode([wire_task(task, self.owner) for task in found[:limit]])
        following = bookmark_of(found[limit - 1], selection, revisions) if len(found) > limit else None
        return Page(json, following, await self.revision())

    async def revision(self) -> int:
        return self.shelf.revisions.get(self.owner, 0)

    async def changes(self, since: ChangesToken | None, *, limit: int) -> ChangesPage:
        revision = await self.revision()
        token = since or ChangesToken(0, base=revision)
        token.require_readable(revision=revision, floor=self.shelf.floors.get(self.owner, 0))
        places = [(self.shelf.stamps[self.owner, task.id], task.id) for task in self._session()]
        ended = [
            (at, task_id) for (owner, task_id), at in self.shelf.tombstones.items() if owner == self.owner
        ]
        found = sorted(
            [place for place in places if place >= (token.revision, token.id)]
            + [place for place in ended if place >= token.first_tombstone]
        )
        changes = []
        for _, task_id in found[:limit]:
            task = self.shelf.tasks.get((self.owner, task_id))
            changes.append({"id": str(task_id), "task": task and wire_task(task, self.owner)})
        more = len(found) > limit
        following = (
            ChangesToken.after_change(*found[limit - 1], base=token.base)
            if more
            else ChangesToken.after_revision(revision)
        )
        return ChangesPage(schemas.encode(changes), following, more)

    async def summary(self, day: Day) -> Summary:
        return summary_of([task for task in self._session() if task.trashed_at is None], day)

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
        del self.shelf.tasks[self.owner, task_id]
        del self.shelf.stamps[self.owner, task_id]
        for (owner, _, _), stored in self.shelf.responses.items():
            if owner == self.owner and task_id in stored.shows:
                stored.response = None
        self.shelf.tombstones[self.owner, task_id] = self._count()

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
        revision = self.shelf.revisions[self.owner]
        for reach, longest in REACHES:
            first, last = max(place - reach, 0), min(place + 1 + reach, len(order) - 1)
            around = order[first : last + 1]
            ends = [other for other in order if other is not task]
            low = order[first - 1].position if first else between(None, ends[0].position, at)
            high = order[last + 1].position if last + 1 < len(order) else between(ends[-1].position, None, at)
            if low and high and (positions := spread(len(around), low, high, longest=longest)):
                break
        for one, position in zip(around, positions or [], strict=True):
            if one.position != position:
                self._put(move_task(one, position, at=at))
        self._count_once_since(revision)
        return shown(self._get(task.id), self.owner)

    async def apply(
        self, operations: Sequence[Operation], *, at: datetime, at_most: int
    ) -> Sequence[Shown | None]:
        results: list[Shown | None] = []
        refusals: dict[int, DomainError] = {}
        with self.shelf.all_or_nothing() as before:
            for number, one in enumerate(operations):
                try:
                    results.append(await self._apply(one, at=at))
                except DomainError as refusal:
                    refusals[number] = refusal
            if refusals:
                raise choose_refusal(refusals)
            if any(isinstance(one, Task) for one in operations) and len(self._session()) > at_most:
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
        shown = [task for task in self._session() if task.trashed_at is None]
        return sorted(shown, key=lambda task: (task.position, task.id))

    def _session(self) -> list[Task]:
        return [task for (owner, _), task in self.shelf.tasks.items() if owner == self.owner]

    def _get(self, task_id: TaskId, if_match: Versions | None = None, *, anywhere: bool = False) -> Task:
        task = self.shelf.tasks.get((self.owner, task_id))
        if task is None:
            raise TaskNotFound(task_id)
        if not anywhere:
            require_in_list(task)
        require_version(task.version, if_match)
        return task

    def _put(self, task: Task) -> Shown:
        """Keep a task; one that is what it was is no change of its owner's."""
        if self.shelf.tasks.get((self.owner, task.id)) != task:
            self.shelf.tasks[self.owner, task.id] = task
            self.shelf.stamps[self.owner, task.id] = self._count()
        return shown(task, self.owner)

    def _count(self) -> int:
        self.shelf.revisions[self.owner] = revision = self.shelf.revisions.get(self.owner, 0) + 1
        return revision

    def _count_once_since(self, revision: int) -> None:
        """Count all changes since a revision as one."""
        for place, stamp in self.shelf.stamps.items():
            if place[0] == self.owner:
                self.shelf.stamps[place] = min(stamp, revision + 1)
        self.shelf.revisions[self.owner] = min(self.shelf.revisions.get(self.owner, 0), revision + 1)


@dataclass(frozen=True, kw_only=True)
class MemoryKeyedTaskRepository(MemoryTaskRepository):
    """The same tasks for one write under a key. No concurrent requests."""

    request: IdempotentRequest
    form: ResponseForm
    at: datetime
    quota: StorageQuota

    async def add(self, task: Task, *, at_most: int) -> Shown:
        with self._once() as store:
            return store({task.id: await super().add(task, at_most=at_most)})[task.id]

    async def change(
        self, task_id: TaskId, changes: TaskChanges, *, at: datetime, if_match: Versions | None = None
    ) -> Shown:
        with self._once() as store:
            return store({task_id: await super().change(task_id, changes, at=at, if_match=if_match)})[task_id]

    async def toggle(self, task_id: TaskId, *, at: datetime, if_match: Versions | None = None) -> Shown:
        with self._once() as store:
            return store({task_id: await super().toggle(task_id, at=at, if_match=if_match)})[task_id]

    async def apply(
        self, operations: Sequence[Operation], *, at: datetime, at_most: int
    ) -> Sequence[Shown | None]:
        with self._once() as store:
            done = await super().apply(operations, at=at, at_most=at_most)
            ids = [one.id if isinstance(one, Task) else one.task_id for one in operations]
            store({task_id: task for task_id, task in zip(ids, done, strict=True) if task is not None})
            return done

    @contextmanager
    def _once(self) -> Iterator[Callable[[Mapping[TaskId, Shown]], Mapping[TaskId, Shown]]]:
        since, name = self.at - RETENTION, (self.owner, self.request.route, self.request.key)
        young = {
            key: stored
            for key, stored in self.shelf.responses.items()
            if key[0] == self.owner and stored.at > since
        }
        if (stored := young.get(name)) is not None:
            if stored.fingerprint != self.request.fingerprint:
                raise KeyReused
            if stored.response is None:
                raise ResponseGone
            raise AlreadyDone(stored.response)
        self._expect_room(young.values(), 0, since)

        def store(tasks: Mapping[TaskId, Shown]) -> Mapping[TaskId, Shown]:
            body = self.form.body_of(task.json for task in tasks.values())
            self._expect_room(young.values(), len(body), since)
            response = StoredResponse(self.form.status, (), body)
            self.shelf.responses[name] = Stored(self.request.fingerprint, response, tasks.keys(), self.at)
            return tasks

        with self.shelf.all_or_nothing():
            yield store

    def _expect_room(self, young: Iterable[Stored], size: int, since: datetime) -> None:
        by_age = sorted(young, key=lambda each: each.at)
        for number, oldest in enumerate(by_age):
            left = by_age[number:]
            if len(left) < self.quota.responses and (
                sum(each.size for each in left) + size <= self.quota.body_bytes
            ):
                break
            soonest = oldest.at
        else:
            number = len(by_age)
        if number:
            raise TooManyKeys(int((soonest - since).total_seconds()))


class NameTagVerifier:
    """Believes a token that is just a name."""

    async def verify(self, token: str) -> Principal:
        if not token.replace("-", "").isalnum():
            raise NotAuthenticated("not a name")
        return Principal(UserId(token))
