"""What every store of responses promises: how much it stores and for how long."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest

from app.domain.errors import AnswerGone, KeyReused, TooManyKeys
from app.domain.idempotency import RETENTION, IdempotentRequest, StorageQuota, StoredResponse, StoredResponses
from app.domain.identity import UserId
from app.domain.task_repository import TaskRepository
from app.infra.idempotency import NeonStoredResponses
from app.infra.postgres.database import Database
from app.infra.tasks import NeonTaskRepository
from tests.support.factories import MANY, NOON, TaskFactory, a_task_id, someone
from tests.support.fakes import MemoryStoredResponses, MemoryTaskRepository, Shelf

Store = Callable[[UserId, StorageQuota], AbstractAsyncContextManager[tuple[TaskRepository, StoredResponses]]]

AT_MOST = StorageQuota(answers=3, octets=100)
SINCE = NOON - RETENTION


@pytest.fixture(params=["memory", pytest.param("neon", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest) -> Store:
    """What opens a transaction of an owner."""
    if request.param == "memory":
        shelf = Shelf()

        @asynccontextmanager
        async def in_memory(
            owner: UserId, at_most: StorageQuota
        ) -> AsyncIterator[tuple[TaskRepository, StoredResponses]]:
            yield MemoryTaskRepository(owner, shelf), MemoryStoredResponses(owner, shelf, at_most)

        return in_memory
    database: Database = request.getfixturevalue("database")

    @asynccontextmanager
    async def in_neon(
        owner: UserId, at_most: StorageQuota
    ) -> AsyncIterator[tuple[TaskRepository, StoredResponses]]:
        async with database.transaction() as transaction:
            kept = NeonStoredResponses(transaction, owner=owner, at_most=at_most)
            yield NeonTaskRepository(transaction, owner=owner), kept

    return in_neon


async def ask(
    store: Store, owner: UserId, key: str, *, body: bytes = b"", at: timedelta = timedelta()
) -> StoredResponse | None:
    """Send a request with a key at this time after noon: return the stored response, or store this one."""
    keyed, since = IdempotentRequest("create", key, b"x"), SINCE + at
    async with store(owner, AT_MOST) as (_, kept):
        if (stored := await kept.claim(keyed, since=since)) is None:
            await kept.keep(keyed, StoredResponse(201, (), body), shows=(), at=NOON + at, since=since)
        return stored


async def test_keys_are_stored_up_to_the_limit_and_one_more_is_refused_until_the_oldest_expires(
    store: Store,
) -> None:
    ann = someone("ann")
    for hour, key in enumerate("abc"):
        await ask(store, ann, key, at=timedelta(hours=hour))

    with pytest.raises(TooManyKeys) as raised:
        await ask(store, ann, "d", at=timedelta(hours=4))

    assert raised.value.retry_after == 20 * 60 * 60
    assert await ask(store, ann, "a", at=timedelta(hours=4)) is not None
    assert await ask(store, ann, "d", at=timedelta(hours=24)) is None
    assert await ask(store, ann, "d", at=timedelta(hours=24)) is not None
    with pytest.raises(TooManyKeys):
        await ask(store, ann, "e", at=timedelta(hours=24))


async def test_responses_are_stored_up_to_the_byte_limit_and_refused_beyond_it_until_enough_expire(
    store: Store,
) -> None:
    ann = someone("ann")
    for hour, (key, octets) in enumerate({"a": 10, "b": 90}.items()):
        await ask(store, ann, key, body=b"x" * octets, at=timedelta(hours=hour))

    with pytest.raises(TooManyKeys) as raised:
        await ask(store, ann, "c", body=b"x" * 11, at=timedelta(hours=2))

    assert raised.value.retry_after == 23 * 60 * 60
    assert await ask(store, ann, "c", body=b"x" * 10, at=timedelta(hours=24)) is None


async def test_expired_responses_free_their_room_repeatedly(store: Store) -> None:
    ann = someone("ann")

    for day in range(4):
        for key in "abc":
            assert await ask(store, ann, f"{key}{day}", body=b"x" * 33, at=timedelta(days=day)) is None

    with pytest.raises(TooManyKeys):
        await ask(store, ann, "d", at=timedelta(days=3))


async def test_the_same_key_a_day_later_takes_no_more_room(store: Store) -> None:
    ann = someone("ann")

    for day in range(9):
        assert await ask(store, ann, "a", body=b"x" * 100, at=timedelta(days=day)) is None


async def test_responses_stored_for_others_do_not_count(store: Store) -> None:
    for owner in (someone("ann"), someone("bob")):
        for key in "abc":
            assert await ask(store, owner, key, body=b"x" * 33) is None


async def test_a_task_that_is_deleted_for_good_ends_the_answers_that_show_it_and_no_others(
    store: Store,
) -> None:
    ann, bob, task = someone("ann"), someone("bob"), TaskFactory.build()
    shows = {"it": [a_task_id(), task.id], "another": [a_task_id()], "nothing": []}
    keyed = {key: IdempotentRequest("batch", key, b"x") for key in shows}
    response = StoredResponse(200, (("etag", "x"),), b"{}")
    for owner in (ann, bob):
        async with store(owner, AT_MOST) as (mine, kept):
            await mine.add(task, at_most=MANY)
            for key, ids in shows.items():
                await kept.keep(keyed[key], response, shows=ids, at=NOON, since=SINCE)

    async with store(ann, AT_MOST) as (mine, _):
        await mine.purge(task.id)

    async with store(ann, AT_MOST) as (_, kept):
        with pytest.raises(AnswerGone):
            await kept.claim(keyed["it"], since=SINCE)
        with pytest.raises(KeyReused):
            await kept.claim(IdempotentRequest("batch", "it", b"y"), since=SINCE)
        assert await kept.claim(keyed["another"], since=SINCE) == response
        assert await kept.claim(keyed["nothing"], since=SINCE) == response
    async with store(bob, AT_MOST) as (_, kept):
        assert await kept.claim(keyed["it"], since=SINCE) == response


async def test_a_key_whose_answer_is_gone_goes_on_counting(store: Store) -> None:
    ann, task = someone("ann"), TaskFactory.build()
    async with store(ann, AT_MOST) as (mine, kept):
        await mine.add(task, at_most=MANY)
        keyed = IdempotentRequest("create", "it", b"x")
        await kept.keep(keyed, StoredResponse(201, (), b"{}"), shows=[task.id], at=NOON, since=SINCE)
        await mine.purge(task.id)

    await ask(store, ann, "b")
    await ask(store, ann, "c")

    with pytest.raises(TooManyKeys):
        await ask(store, ann, "d")
