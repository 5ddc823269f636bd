"""`app purge` deletes old trash and old stored responses of all owners, and nothing else."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from app.domain.errors import ResponseGone, TaskNotFound
from app.domain.idempotency import AlreadyDone
from app.domain.identity import UserId
from app.domain.task import Task
from app.infra.live_store import CHANNEL, SENDER_BYTES
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import OwnerSession
from app.infra.purge import delete_old_responses, purge_trash
from app.infra.statements.owner_scope import Statement
from app.infra.statements.revision import LOCK_OWNER
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from tests.support.factories import MANY, NOON, TaskFactory, later, someone
from tests.support.keyed import keyed, until_blocked
from tests.support.servers.redis import store_in
from tests.support.servers.service import app as run_app

pytestmark = pytest.mark.server

LONG_AGO = NOON - timedelta(days=400)


@dataclass
class Owner:
    """A person with two tasks in the trash, one for long and one since noon, and one task in the list."""

    user_id: UserId
    tasks: NeonTaskRepository
    old: Task
    new: Task
    listed: Task


@pytest.fixture
async def owners(database: Database) -> list[Owner]:
    """Two owners."""
    owners = []
    for name in ("ann", "bob"):
        user_id = someone(name)
        tasks = NeonTaskRepository(database, owner=user_id)
        old, new, listed = (TaskFactory.build() for _ in range(3))
        for task in (old, new, listed):
            await tasks.add(task, at_most=MANY)
        await tasks.trash(old.id, at=LONG_AGO)
        await tasks.trash(new.id, at=later(0))
        owners.append(Owner(user_id, tasks, old, new, listed))
    return owners


async def test_a_purge_deletes_old_trash_of_all_owners_and_returns_the_number(
    database_url: str, owners: list[Owner]
) -> None:
    before = [await owner.tasks.revision() for owner in owners]

    deleted = await purge_trash(DatabaseAddress.parse(database_url), before=NOON - timedelta(days=300))

    assert deleted == 2
    for owner, revision in zip(owners, before, strict=True):
        with pytest.raises(TaskNotFound):
            await owner.tasks.restore(owner.old.id, at=later(1))
        await owner.tasks.show(owner.listed.id)
        assert await owner.tasks.revision() == revision + 1
        await owner.tasks.add(TaskFactory.build(), at_most=3)  # the deleted task no longer counts
        await owner.tasks.restore(owner.new.id, at=later(1))


async def test_a_purge_deletes_stored_responses_older_than_a_day_of_all_owners_and_no_others(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.infra.purge.RESPONSES_BATCH", 1)
    now = datetime.now(UTC)
    times = {"new": now - timedelta(hours=23), "old": now - timedelta(hours=25)}
    people = [someone("ann"), someone("bob")]
    for person in people:
        for key, at in times.items():
            await keyed(database, person, key, at=at).add(TaskFactory.build(), at_most=MANY)

    await delete_old_responses(DatabaseAddress.parse(database_url))

    for person in people:
        with pytest.raises(AlreadyDone):
            await keyed(database, person, "new", at=times["new"]).add(TaskFactory.build(), at_most=MANY)
        await keyed(database, person, "old", at=times["old"]).add(TaskFactory.build(), at_most=MANY)


async def test_deleting_old_stored_responses_waits_for_running_writes_of_their_owner(
    database: Database, database_url: str
) -> None:
    ann, now = someone(), datetime.now(UTC)
    await keyed(database, ann, "old", at=now - timedelta(hours=25)).add(TaskFactory.build(), at_most=MANY)

    async with database.transaction() as transaction:
        await OwnerSession(transaction, owner=ann).one(LOCK_OWNER)
        deleting = asyncio.create_task(delete_old_responses(DatabaseAddress.parse(database_url)))
        await until_blocked(database, 1)
        during = await transaction.fetch(
            Statement(f"SELECT FROM kept_answers WHERE user_id = '{ann}'", ()), {}
        )
    await deleting

    after = await database.fetch(Statement(f"SELECT FROM kept_answers WHERE user_id = '{ann}'", ()), {})
    assert (len(during), len(after)) == (1, 0)


async def test_a_purge_deletes_the_stored_responses_that_show_deleted_tasks_and_keeps_their_keys(
    database: Database, database_url: str, owners: list[Owner]
) -> None:
    for owner in owners:
        for key, task in {"old": owner.old, "new": owner.new}.items():
            await owner.tasks.restore(task.id, at=NOON)
            await keyed(database, owner.user_id, key).toggle(task.id, at=NOON)
        await owner.tasks.trash(owner.old.id, at=LONG_AGO)
        await owner.tasks.trash(owner.new.id, at=later(0))

    await purge_trash(DatabaseAddress.parse(database_url), before=NOON - timedelta(days=300))

    for owner in owners:
        with pytest.raises(ResponseGone):
            await keyed(database, owner.user_id, "old").toggle(owner.old.id, at=NOON)
        with pytest.raises(AlreadyDone):
            await keyed(database, owner.user_id, "new").toggle(owner.new.id, at=NOON)


async def test_app_purge_prints_how_many_it_deleted(
    database_url: str, owners: list[object], tmp_path: Path
) -> None:
    first, second = (
        run_app("purge", "--older-than", "30d", env={"DATABASE_URL": database_url}, cwd=tmp_path)
        for _ in range(2)
    )

    assert first.returncode == 0, first.stderr
    assert int(first.stdout.split()[0]) >= 4  # other tests may have left more
    assert second.stdout == "0 tasks deleted\n"


@pytest.mark.parametrize("command", [("purge", "--older-than", "30d"), ("resync",)], ids=" ".join)
async def test_app_purge_and_app_resync_publish_one_message_to_all_event_streams_and_warn_if_the_store_is_down(
    database_url: str, owners: list[Owner], tmp_path: Path, command: tuple[str, ...]
) -> None:
    with store_in(tmp_path) as store, redis.Redis(port=store.port) as client:
        subscriber = client.pubsub(ignore_subscribe_messages=True)
        subscriber.subscribe(CHANNEL)
        subscriber.get_message(timeout=5)
        env = {"DATABASE_URL": database_url, "LIVE_STORE": store.url}

        done = await asyncio.to_thread(run_app, *command, env=env, cwd=tmp_path)
        message = subscriber.get_message(timeout=5)
        subscriber.close()
    await owners[0].tasks.trash(owners[0].listed.id, at=LONG_AGO)
    without_store = await asyncio.to_thread(run_app, *command, env=env, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert message is not None
    assert len(message["data"]) == SENDER_BYTES  # no owner: every stream reads
    assert without_store.returncode == 0
    assert "warning: event streams were not notified" in without_store.stderr


@pytest.mark.parametrize("age", ["30", "d", "-1d", "1w", "0d"])
def test_an_invalid_age_is_refused(age: str, tmp_path: Path) -> None:
    done = run_app("purge", f"--older-than={age}", env={}, cwd=tmp_path)

    assert done.returncode == 2
    assert "is not a time like 90s, 15m, 12h or 30d" in done.stderr
