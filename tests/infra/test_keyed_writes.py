"""Writes with an Idempotency-Key: the statement that does the work also stores the response, within exact limits.

Each of these faults, put into `app.infra.statements` on purpose, made a test fail: no limit of bytes; the revision
incremented without `differs`; ON CONFLICT without its condition, or with DO NOTHING; COUNT_ANEW without the revision.
"""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from app.domain.errors import ResponseGone, TaskChanged, TaskNotFound, TooManyKeys, TooManyTasks
from app.domain.idempotency import AlreadyDone, StorageQuota
from app.domain.identity import UserId
from app.domain.task import TaskChanges
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import OwnerSession
from app.infra.statements.owner_scope import Statement
from app.infra.statements.revision import LOCK_OWNER
from app.infra.tasks import NeonTaskRepository
from tests.support.factories import MANY, NOON, TaskFactory, a_task_id, later, someone
from tests.support.keyed import keyed, until_blocked

pytestmark = pytest.mark.server


async def test_responses_are_stored_up_to_the_byte_limit_and_not_one_byte_more(database: Database) -> None:
    ann, task = someone(), TaskFactory.build()
    size = len((await keyed(database, ann).add(task, at_most=MANY)).json)
    quota = StorageQuota(body_bytes=2 * size)
    changes = TaskChanges(description=f"{task.description}x")  # one byte more

    for _ in range(2):
        with pytest.raises(TooManyKeys) as raised:
            await keyed(database, ann, quota=quota).change(task.id, changes, at=NOON)
    toggled = await keyed(database, ann, quota=StorageQuota(body_bytes=2 * size + 100)).toggle(
        task.id, at=later(1)
    )

    assert raised.value.retry_after == 24 * 60 * 60
    assert toggled.version == 2
    with pytest.raises(TooManyKeys):
        await keyed(database, ann, quota=quota).add(TaskFactory.build(), at_most=MANY)
    full = await NeonTaskRepository(database, owner=ann).page(9, after=None)
    assert full.json == b"[" + toggled.json + b"]"


async def test_a_response_that_fills_the_remaining_bytes_exactly_is_stored(database: Database) -> None:
    ann, tasks = someone(), [TaskFactory.build(title="x", description=None) for _ in range(3)]
    size = len((await keyed(database, ann).add(tasks[0], at_most=MANY)).json)
    quota = StorageQuota(body_bytes=2 * size)

    await keyed(database, ann, quota=quota).add(tasks[1], at_most=MANY)

    with pytest.raises(TooManyKeys):
        await keyed(database, ann, quota=quota).add(tasks[2], at_most=MANY)


async def test_the_response_of_a_write_without_change_is_stored_and_the_revision_stays(
    database: Database,
) -> None:
    ann, task = someone(), TaskFactory.build()
    mine = NeonTaskRepository(database, owner=ann)
    added = await mine.add(task, at_most=MANY)
    before = await mine.revision()

    same = await keyed(database, ann, "k").change(task.id, TaskChanges(title=task.title), at=later(1))
    changed = await mine.change(task.id, TaskChanges(title="other"), at=later(2))

    assert (same, changed.version, await mine.revision()) == (added, 2, before + 1)
    with pytest.raises(AlreadyDone) as again:
        await keyed(database, ann, "k").change(task.id, TaskChanges(title=task.title), at=later(3))
    assert again.value.response.body == added.json


async def test_a_user_id_that_is_too_long_gets_no_row(database: Database) -> None:
    ann = UserId("x" * 256)

    for tasks in (NeonTaskRepository(database, owner=ann), keyed(database, ann)):
        with pytest.raises(asyncpg.CheckViolationError):
            await tasks.add(TaskFactory.build(), at_most=MANY)


async def test_a_refused_write_does_not_use_up_its_key(database: Database) -> None:
    ann, task = someone(), TaskFactory.build()

    with pytest.raises(TaskNotFound):
        await keyed(database, ann, "k").toggle(a_task_id(), at=NOON)
    await NeonTaskRepository(database, owner=ann).add(task, at_most=MANY)
    with pytest.raises(TooManyTasks):
        await keyed(database, ann, "k").add(TaskFactory.build(), at_most=1)
    with pytest.raises(TaskChanged):
        await keyed(database, ann, "k").toggle(task.id, at=NOON, if_match=frozenset({2}))

    done = await keyed(database, ann, "k").toggle(task.id, at=NOON, if_match=frozenset({1}))

    assert done.version == 2


async def test_a_key_that_is_a_day_old_can_be_used_again(database: Database) -> None:
    ann, task = someone(), TaskFactory.build()
    await keyed(database, ann, "k").add(task, at_most=MANY)

    done = await keyed(database, ann, "k", at=NOON + timedelta(days=1)).toggle(task.id, at=later(1))

    assert done.version == 2
    with pytest.raises(AlreadyDone) as again:
        await keyed(database, ann, "k", at=NOON + timedelta(days=1)).toggle(task.id, at=later(1))
    assert again.value.response.body == done.json


async def test_a_permanent_deletion_that_waited_also_empties_a_response_stored_meanwhile(
    database: Database,
) -> None:
    ann, task, tomorrow = someone(), TaskFactory.build(), NOON + timedelta(days=1)
    mine, one = NeonTaskRepository(database, owner=ann), StorageQuota(responses=1)
    await keyed(database, ann, "old").add(task, at_most=MANY)
    same = TaskChanges(title=task.title)

    async with database.transaction() as transaction:
        await OwnerSession(transaction, owner=ann).one(LOCK_OWNER)
        delete = asyncio.create_task(mine.purge(task.id))
        await until_blocked(database, 1)
        await keyed(transaction, ann, "new", at=tomorrow, quota=one).change(task.id, same, at=tomorrow)
    await delete

    with pytest.raises(ResponseGone):
        await keyed(database, ann, "new", at=tomorrow).change(task.id, same, at=tomorrow)


async def test_a_permanent_deletion_that_lost_one_race_locks_the_owner_and_cannot_lose_another(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.infra.tasks.ATTEMPTS", 1)
    ann, task, other = someone(), TaskFactory.build(), TaskFactory.build()
    mine = NeonTaskRepository(database, owner=ann)
    for each in (task, other):
        await mine.add(each, at_most=MANY)
    before = await mine.revision()

    async with database.transaction() as first, database.transaction() as second:
        await NeonTaskRepository(first, owner=ann).toggle(other.id, at=NOON)
        delete = asyncio.create_task(mine.purge(task.id))
        await until_blocked(database, 1)
        toggle = asyncio.create_task(NeonTaskRepository(second, owner=ann).toggle(other.id, at=NOON))
        await until_blocked(database, 2)
        await first.fetch(Statement("COMMIT", ()), {})
        await toggle
        await until_blocked(database, 1)
    await delete

    assert await mine.revision() == before + 3
