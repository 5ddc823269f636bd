"""Writers and followers at the same time: no change is missed, and none comes out of order.

Each of these faults, put into the code on purpose, made a test fail: the revision read before the owner's row is
locked; a token without the id.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.domain.changes import ChangesToken
from app.domain.commands import Change, Operation, Trash
from app.domain.errors import NotInTrash, TaskNotFound
from app.domain.identity import UserId
from app.domain.task import TaskChanges, TaskId
from app.infra.postgres.database import Database
from app.infra.postgres.session import Session
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from tests.support.factories import MANY, TaskFactory, later, someone
from tests.support.follower import Follower, catch_up, read_page
from tests.support.keyed import keyed, until_blocked
from tests.support.servers.pgbouncer import pgbouncer

pytestmark = pytest.mark.server

WRITERS, FOLLOWERS = 8, 4
WRITES = 20  # by each writer


@pytest.fixture
async def pooled(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """The database behind a transaction pooler."""
    with pgbouncer(database_url, tmp_path, server_connections=WRITERS + FOLLOWERS) as url:
        connections = Database(DatabaseAddress.parse(url), timeout=60, pool_size=WRITERS + FOLLOWERS)
        await connections.open()
        yield connections
        await connections.close()


async def write(database: Database, owner: UserId, shared: list[TaskId], seed: int) -> None:
    """Run random writes of seven kinds, on tasks that the other writers change too."""
    rng, mine = random.Random(seed), NeonTaskRepository(database, owner=owner)
    for number in range(WRITES):
        task_id = rng.choice(shared)
        batch: list[Operation] = [TaskFactory.build() for _ in range(2)]
        batch.append(Change(task_id, TaskChanges(title=f"{seed} {number}")))
        writes: list[Callable[[], Coroutine[Any, Any, object]]] = [
            partial(mine.toggle, task_id, at=later(number)),
            partial(mine.add, TaskFactory.build(), at_most=MANY),
            partial(mine.apply, batch, at=later(number), at_most=MANY),
            partial(keyed(database, owner).toggle, task_id, at=later(number)),
            partial(mine.apply, [Trash(task_id)], at=later(number), at_most=MANY),
            partial(mine.restore, task_id, at=later(number)),
            partial(mine.purge, task_id),
        ]
        weights = [4, 2, 3, 2, 2, 3, 1]
        try:
            await rng.choices(writes, weights)[0]()
        except (TaskNotFound, NotInTrash):
            await mine.add(TaskFactory.build(), at_most=MANY)


async def follow(mine: NeonTaskRepository, writing: asyncio.Event, follower: Follower) -> list[Any]:
    """Read one change at a time until all is written, then the rest. Return the tokens."""
    tokens: list[Any] = []
    while True:
        all_is_written = not writing.is_set()  # before the read, so that the last read cannot miss a write
        more = await read_page(mine, follower, limit=1)
        tokens.append(follower.token)
        if all_is_written and not more:
            return tokens


async def test_no_follower_misses_a_change_of_eight_writers_and_each_gets_them_in_order(
    pooled: Database,
) -> None:
    owner = someone()
    mine = NeonTaskRepository(pooled, owner=owner)
    shared = [TaskFactory.build() for _ in range(24)]
    await mine.apply(shared, at=later(0), at_most=MANY)
    writing = asyncio.Event()
    writing.set()
    followers = [Follower() for _ in range(FOLLOWERS)]
    following = [asyncio.create_task(follow(mine, writing, follower)) for follower in followers]

    await asyncio.gather(
        *(write(pooled, owner, [task.id for task in shared], seed) for seed in range(WRITERS))
    )
    writing.clear()
    tokens = await asyncio.gather(*following)

    whole = Follower()
    await catch_up(partial(read_page, mine, whole))
    for follower, seen in zip(followers, tokens, strict=True):
        assert follower.copy == whole.copy
        places = [(token.revision, token.id) for token in seen]
        assert places == sorted(places)


WRITES_THAT_WAIT: dict[str, Callable[[Database, UserId, TaskId], Coroutine[Any, Any, object]]] = {
    "add": lambda database, owner, _: tasks_of(database, owner).add(TaskFactory.build(), at_most=MANY),
    "change": lambda database, owner, task_id: tasks_of(database, owner).change(
        task_id, TaskChanges(title="x"), at=later(1)
    ),
    "toggle": lambda database, owner, task_id: tasks_of(database, owner).toggle(task_id, at=later(1)),
    "trash": lambda database, owner, task_id: tasks_of(database, owner).trash(task_id, at=later(1)),
    "purge": lambda database, owner, task_id: tasks_of(database, owner).purge(task_id),
    "batch": lambda database, owner, task_id: tasks_of(database, owner).apply(
        [TaskFactory.build(), Trash(task_id)], at=later(1), at_most=MANY
    ),
    "add with a key": lambda database, owner, _: keyed(database, owner).add(
        TaskFactory.build(), at_most=MANY
    ),
    "toggle with a key": lambda database, owner, task_id: keyed(database, owner).toggle(task_id, at=later(1)),
}


def tasks_of(database: Session, owner: UserId) -> NeonTaskRepository:
    return NeonTaskRepository(database, owner=owner)


@pytest.mark.parametrize("name", WRITES_THAT_WAIT)
async def test_a_write_that_waited_for_another_comes_after_it(database: Database, name: str) -> None:
    owner, first, second = someone(), TaskFactory.build(), TaskFactory.build()
    mine = tasks_of(database, owner)
    for task in (first, second):
        await mine.add(task, at_most=MANY)
    before = await mine.revision()

    async with database.transaction() as transaction:
        await tasks_of(transaction, owner).toggle(first.id, at=later(0))
        waiting = asyncio.create_task(WRITES_THAT_WAIT[name](database, owner, second.id))
        await until_blocked(database, 1)
    await waiting
    follower = Follower(ChangesToken.after_revision(before + 1))  # a client that knows the first write
    await catch_up(partial(read_page, mine, follower))

    assert follower.received != []
    assert str(first.id) not in follower.received
