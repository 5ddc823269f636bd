"""What every store of responses promises: how much it stores and for how long."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest

from app.domain.commands import Change, Operation, Trash
from app.domain.errors import KeyReused, ResponseGone, TaskNotFound, TooManyKeys, TooManyTasks
from app.domain.idempotency import AlreadyDone, IdempotentRequest, ResponseForm, StorageQuota
from app.domain.identity import UserId
from app.domain.task import TaskChanges
from app.domain.task_repository import TaskRepository
from app.infra.idempotency import KeyedWrites
from app.infra.postgres.database import Database
from app.infra.tasks import NeonKeyedTaskRepository, NeonTaskRepository
from tests.support.factories import MANY, NOON, TaskFactory, a_task_id, later, someone
from tests.support.fakes import MemoryKeyedTaskRepository, MemoryStore, MemoryTaskRepository

QUOTA = StorageQuota(responses=3, body_bytes=100)
DEFAULT_QUOTA = StorageQuota()
AT_NOON = timedelta()


@dataclass(frozen=True)
class Store:
    """Makes repositories of an owner: for any requests, and for a single write with an Idempotency-Key."""

    of: Callable[[UserId], TaskRepository]
    # The `timedelta` is the time from noon to the write.
    keyed: Callable[[UserId, IdempotentRequest, ResponseForm, timedelta, StorageQuota], TaskRepository]

    def once(
        self, owner: UserId, key: str, *, body: bytes = b"x", form: ResponseForm | None = None
    ) -> TaskRepository:
        """Return the repository for a request with a key at noon."""
        return self.keyed(
            owner, IdempotentRequest("x", key, body), form or ResponseForm(), AT_NOON, DEFAULT_QUOTA
        )


@pytest.fixture(params=["memory", pytest.param("neon", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest) -> Store:
    """The store in memory, and PostgreSQL."""
    if request.param == "memory":
        store = MemoryStore()
        return Store(
            lambda owner: MemoryTaskRepository(owner, store),
            lambda owner, keyed, form, after, quota: MemoryKeyedTaskRepository(
                owner, store, request=keyed, form=form, at=NOON + after, quota=quota
            ),
        )
    database: Database = request.getfixturevalue("database")

    def keyed(
        owner: UserId, keyed: IdempotentRequest, form: ResponseForm, after: timedelta, quota: StorageQuota
    ) -> TaskRepository:
        writes = KeyedWrites(database, owner=owner, request=keyed, form=form, at=NOON + after, quota=quota)
        return NeonKeyedTaskRepository(database, writes)

    return Store(lambda owner: NeonTaskRepository(database, owner=owner), keyed)


async def write_once(
    store: Store, owner: UserId, key: str, *, size: int = 1, after: timedelta = AT_NOON
) -> bool:
    """Send a request with a key at this time after noon. Return whether it was done; False if it was a repeat.

    The request moves a task to the trash. Its response has this size and shows no task.
    """
    task, form = TaskFactory.build(), ResponseForm(texts=(b"x" * size,))
    await store.of(owner).add(task, at_most=MANY)
    once = store.keyed(owner, IdempotentRequest("batch", key, b"x"), form, after, QUOTA)
    with suppress(AlreadyDone):
        await once.apply([Trash(task.id)], at=NOON, at_most=MANY)
        return True
    return False


async def test_keys_are_stored_up_to_the_limit_and_one_more_is_refused_until_the_oldest_expires(
    store: Store,
) -> None:
    ann = someone("ann")
    for hour, key in enumerate("abc"):
        await write_once(store, ann, key, after=timedelta(hours=hour))

    with pytest.raises(TooManyKeys) as raised:
        await write_once(store, ann, "d", after=timedelta(hours=4))

    assert raised.value.retry_after == 20 * 60 * 60
    assert not await write_once(store, ann, "a", after=timedelta(hours=4))
    assert await write_once(store, ann, "d", after=timedelta(hours=24))
    assert not await write_once(store, ann, "d", after=timedelta(hours=24))
    with pytest.raises(TooManyKeys):
        await write_once(store, ann, "e", after=timedelta(hours=24))


async def test_responses_are_stored_up_to_the_byte_limit_and_refused_beyond_it_until_enough_expire(
    store: Store,
) -> None:
    ann = someone("ann")
    for hour, (key, size) in enumerate({"a": 10, "b": 90}.items()):
        await write_once(store, ann, key, size=size, after=timedelta(hours=hour))

    with pytest.raises(TooManyKeys) as raised:
        await write_once(store, ann, "c", size=11, after=timedelta(hours=2))

    assert raised.value.retry_after == 23 * 60 * 60
    assert await write_once(store, ann, "c", size=10, after=timedelta(hours=24))


async def test_on_each_day_the_responses_that_expired_free_their_bytes_for_new_ones(store: Store) -> None:
    ann = someone("ann")

    for day in range(4):
        for key in "abc":
            assert await write_once(store, ann, f"{key}{day}", size=33, after=timedelta(days=day))

    with pytest.raises(TooManyKeys):
        await write_once(store, ann, "d", after=timedelta(days=3))


async def test_the_same_key_a_day_later_replaces_its_old_response(store: Store) -> None:
    ann = someone("ann")

    for day in range(9):
        assert await write_once(store, ann, "a", size=100, after=timedelta(days=day))


async def test_stored_responses_of_other_people_do_not_count(store: Store) -> None:
    for owner in (someone("ann"), someone("bob")):
        for key in "abc":
            assert await write_once(store, owner, key, size=33)


async def test_a_batch_stores_its_texts_around_the_tasks_that_it_shows(store: Store) -> None:
    ann, known, new, unwanted = someone("ann"), *(TaskFactory.build() for _ in range(3))
    for task in (known, unwanted):
        await store.of(ann).add(task, at_most=MANY)
    batch: list[Operation] = [Change(known.id, TaskChanges(title="changed")), Trash(unwanted.id), new]
    form = ResponseForm(texts=(b"a", b"b", b"c"))

    changed, _, created = await store.once(ann, "k", form=form).apply(batch, at=later(1), at_most=MANY)

    with pytest.raises(AlreadyDone) as again:
        await store.once(ann, "k", form=form).apply(batch, at=later(1), at_most=MANY)
    assert changed
    assert created
    assert again.value.response.body == b"a" + changed.json + b"b" + created.json + b"c"
    assert (changed, created) == (await store.of(ann).show(known.id), await store.of(ann).show(new.id))


async def test_a_batch_that_is_refused_is_undone_and_leaves_the_key_free(store: Store) -> None:
    ann, task = someone("ann"), TaskFactory.build()
    await store.of(ann).add(task, at_most=MANY)
    before = await store.of(ann).revision()
    form_of_two, form_of_one = ResponseForm(texts=(b"", b"", b"")), ResponseForm(texts=(b"", b""))

    with pytest.raises(TaskNotFound):
        await store.once(ann, "k", form=form_of_two).apply(
            [Change(task.id, TaskChanges(title="x")), Change(a_task_id(), TaskChanges(title="x"))],
            at=later(1),
            at_most=MANY,
        )
    with pytest.raises(TooManyTasks):
        await store.once(ann, "k", form=form_of_one).apply([TaskFactory.build()], at=later(1), at_most=1)
    (done,) = await store.once(ann, "k", form=form_of_one).apply(
        [Change(task.id, TaskChanges(title="x"))], at=later(1), at_most=1
    )

    assert done
    assert (done.version, await store.of(ann).revision()) == (2, before + 1)


async def test_a_task_that_is_deleted_permanently_empties_the_responses_that_show_it_and_no_others(
    store: Store,
) -> None:
    ann, bob, task, other = someone("ann"), someone("bob"), TaskFactory.build(), TaskFactory.build()
    changes = [Change(each.id, TaskChanges(title="x")) for each in (other, task)]
    form_of_both = ResponseForm(texts=(b"",) * 3)

    async def send(owner: UserId, key: str, body: bytes = b"x") -> None:
        """Write what the key says: `task`, `other`, or both of them."""
        if key == "both":
            once = store.once(owner, key, body=body, form=form_of_both)
            await once.apply(changes, at=NOON, at_most=MANY)
        else:
            once = store.once(owner, key, body=body)
            await once.toggle(task.id if key == "task" else other.id, at=NOON)

    for owner in (ann, bob):
        for each in (task, other):
            await store.of(owner).add(each, at_most=MANY)
        for key in ("task", "both", "other"):
            await send(owner, key)

    await store.of(ann).purge(task.id)

    for key in ("task", "both"):
        with pytest.raises(ResponseGone):
            await send(ann, key)
        with pytest.raises(KeyReused):
            await send(ann, key, b"y")
        with pytest.raises(AlreadyDone):
            await send(bob, key)
    with pytest.raises(AlreadyDone):
        await send(ann, "other")


async def test_a_key_whose_response_was_deleted_still_counts(store: Store) -> None:
    ann, task = someone("ann"), TaskFactory.build()
    await store.once(ann, "a").add(task, at_most=MANY)
    await store.of(ann).purge(task.id)

    await write_once(store, ann, "b")
    await write_once(store, ann, "c")

    with pytest.raises(TooManyKeys):
        await write_once(store, ann, "d")
