"""All pages of a list, and its entity tag, while other requests write."""

import asyncio
import random
from uuid import UUID

import pytest

from app.domain.task import TaskChanges, TaskId
from app.domain.task_list import Order, Selection
from app.infra.postgres.database import Database
from app.infra.statements.tasks import update_of
from app.infra.tasks import NeonTaskRepository
from tests.contracts.test_lists import a_task, read_all_ids
from tests.support.factories import MANY, later, someone, task_made
from tests.support.people import People

pytestmark = pytest.mark.server

UNCHANGED, CHANGED = 60, 40  # tasks
CHANGES = 1_000


@pytest.mark.parametrize("order", Order)
async def test_given_a_thousand_changes_during_a_paged_read_then_each_unchanged_task_appears_once(
    database: Database, order: Order
) -> None:
    mine = NeonTaskRepository(database, owner=someone())
    rng = random.Random(order.value)
    tasks = [a_task(number, rng) for number in range(UNCHANGED + CHANGED)]
    rng.shuffle(tasks)
    for task in tasks:
        await mine.add(task, at_most=MANY * 2)
    unchanged, changed = tasks[:UNCHANGED], [task.id for task in tasks[UNCHANGED:]]
    unchanged_ids = [str(task.id) for task in unchanged]

    async def walk(*, descending: bool) -> list[str]:
        selection = Selection(order=order, descending=descending)
        ids = await read_all_ids(mine, selection, rng.choice([1, 3, 7]))
        return [task_id for task_id in ids if task_id in unchanged_ids]

    walks: list[list[str]] = []
    changes = asyncio.gather(*(_change_often(mine, changed, seed) for seed in range(4)))
    while not changes.done() or not walks:
        walks += [await walk(descending=False), (await walk(descending=True))]
    await changes
    expected = [await walk(descending=False), await walk(descending=True)]

    assert sorted(expected[0]) == sorted(unchanged_ids)
    assert [ids for number, ids in enumerate(walks) if ids != expected[number % 2]] == []


async def test_a_writer_that_commits_late_changes_the_lists_etag(people: People, database: Database) -> None:
    ann = people.one()
    task = await ann.create("early")
    before = await ann.ask("GET")

    async with database.transaction() as transaction:
        late = NeonTaskRepository(transaction, owner=ann.user_id)
        await late.change(TaskId(UUID(task["id"])), TaskChanges(title="late"), at=later(0))
        during = await ann.ask("GET", headers={"if-none-match": before.headers["etag"]})
        other = asyncio.create_task(ann.create("meanwhile"))
        await asyncio.sleep(0.05)
        waited = not other.done()
    await other
    after = await ann.ask("GET", headers={"if-none-match": before.headers["etag"]})

    assert (during.status_code, waited) == (304, True)
    assert [found["title"] for found in after.json()] == ["meanwhile", "late"]


async def _change_often(mine: NeonTaskRepository, ids: list[TaskId], seed: int) -> None:
    """Make a quarter of the changes. Change what these tasks are sorted by, and add and purge other tasks."""
    rng = random.Random(seed)
    for turn in range(CHANGES // 4):
        now = later(rng.randrange(200))
        made = a_task(turn, rng)
        match turn % 5:
            case 0:
                await mine.add(task := task_made(rng.randrange(200)), at_most=MANY * 2)
                await mine.purge(task.id)
            case 1:
                moving = update_of(("position",)).change  # unlike `move`, writes one task only
                await mine._session.one(moving, task_id=rng.choice(ids), position=made.position, at=now)
            case _:
                changes = TaskChanges(
                    title=made.title, due=made.due, priority=made.priority, completed=made.completed
                )
                await mine.change(rng.choice(ids), changes, at=now)
