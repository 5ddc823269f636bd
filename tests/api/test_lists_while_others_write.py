"""A walk and an entity tag, while other requests write at the same time."""

import asyncio
import random
from uuid import UUID

import pytest

from app.domain.task import TaskChanges, TaskId
from app.domain.task_list import Order, Selection
from app.infra.postgres.database import Database
from app.infra.statements.tasks import update_of
from app.infra.tasks import NeonTaskRepository
from tests.contracts.test_lists import a_task, walked
from tests.support.factories import MANY, later, someone, task_made
from tests.support.people import People

pytestmark = pytest.mark.server

STANDING, RESTLESS, CHANGES = 60, 40, 1_000


@pytest.mark.parametrize("order", Order)
async def test_given_a_thousand_changes_during_a_paged_read_then_each_unchanged_task_appears_once(
    database: Database, order: Order
) -> None:
    mine = NeonTaskRepository(database, owner=someone())
    dice = random.Random(order.value)
    tasks = [a_task(number, dice) for number in range(STANDING + RESTLESS)]
    dice.shuffle(tasks)
    for task in tasks:
        await mine.add(task, at_most=MANY * 2)
    standing, restless = tasks[:STANDING], [task.id for task in tasks[STANDING:]]
    still = [str(task.id) for task in standing]

    async def walk(*, descending: bool) -> list[str]:
        selection = Selection(order=order, descending=descending)
        met = await walked(mine, selection, dice.choice([1, 3, 7]))
        return [task_id for task_id in met if task_id in still]

    walks: list[list[str]] = []
    changes = asyncio.gather(*(_rush(mine, restless, seed) for seed in range(4)))
    while not changes.done() or not walks:
        walks += [await walk(descending=False), (await walk(descending=True))]
    await changes
    quiet = [await walk(descending=False), await walk(descending=True)]

    assert sorted(quiet[0]) == sorted(still)
    assert [met for number, met in enumerate(walks) if met != quiet[number % 2]] == []


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


async def _rush(mine: NeonTaskRepository, ids: list[TaskId], seed: int) -> None:
    """Make a quarter of the changes: of what tasks are ordered by, with tasks that come and go."""
    dice = random.Random(seed)
    for turn in range(CHANGES // 4):
        now = later(dice.randrange(200))
        made = a_task(turn, dice)
        match turn % 5:
            case 0:
                await mine.add(task := task_made(dice.randrange(200)), at_most=MANY * 2)
                await mine.purge(task.id)
            case 1:
                moving = update_of(("position",)).change  # a move may find no room, and so write them all
                await mine._session.one(moving, task_id=dice.choice(ids), position=made.position, at=now)
            case _:
                changes = TaskChanges(
                    title=made.title, due=made.due, priority=made.priority, completed=made.completed
                )
                await mine.change(dice.choice(ids), changes, at=now)
