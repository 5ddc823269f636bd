"""Manual order of a person's tasks."""

import asyncio
import random
from typing import Any

import pytest

from app.domain.position import POSITION_MAX
from tests.support.factories import a_task_id
from tests.support.people import People, Person

pytestmark = pytest.mark.server


async def order(person: Person) -> list[str]:
    """Return the ids of the person's tasks in the manual order."""
    tasks = (await person.ask("GET", "?limit=200")).json()
    return [task["id"] for task in sorted(tasks, key=lambda task: (task["position"], task["id"]))]


async def create_tasks(person: Person, count: int) -> list[str]:
    """Create tasks. Return their ids, the newest first."""
    return [(await person.create(str(number)))["id"] for number in range(count)][::-1]


def moved(ids: list[str], task: str, side: str, beside: str) -> list[str]:
    """Return the list that a move must give."""
    others = [one for one in ids if one != task]
    place = others.index(beside) + (side == "after")
    return [*others[:place], task, *others[place:]]


def random_move(ids: list[str], rng: random.Random) -> tuple[str, str, str]:
    """Return the task to move, the side, and the task beside which it goes."""
    task, beside = rng.sample(ids, 2)
    return task, rng.choice(["before", "after"]), beside


async def test_new_tasks_come_first_and_a_move_puts_a_task_right_next_to_another(people: People) -> None:
    ann = people.one()
    ids = await create_tasks(ann, 4)
    assert await order(ann) == ids

    for task, side, beside in ((3, "before", 0), (0, "after", 3), (1, "after", 2), (2, "before", 3)):
        expected = moved(await order(ann), ids[task], side, ids[beside])
        response = await ann.ask("POST", f"{ids[task]}/move", json={side: ids[beside]})
        assert response.status_code == 200
        assert await order(ann) == expected

    new = (await ann.create())["id"]
    assert (await order(ann))[0] == new


async def test_a_move_writes_one_task_and_a_move_to_its_own_place_writes_none(people: People) -> None:
    ann = people.one()
    ids = await create_tasks(ann, 3)
    before = {task["id"]: task for task in (await ann.ask("GET")).json()}

    unmoved = (await ann.ask("POST", f"{ids[0]}/move", json={"before": ids[1]})).json()
    moved_task = (await ann.ask("POST", f"{ids[0]}/move", json={"after": ids[2]})).json()

    after = {task["id"]: task for task in (await ann.ask("GET")).json()}
    assert unmoved == before[ids[0]]
    assert after == {**before, ids[0]: moved_task}
    assert moved_task["version"] == 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"before": "self", "after": "self"}, ""),
        ({"before": "x"}, "/before"),
        ({"after": None}, "/after"),
        ({"beside": "self"}, "/beside"),
        ({"before": "self"}, "/before"),
        ({"after": str(a_task_id())}, "/after"),
        ({"before": "trashed"}, "/before"),
        ({"before": "bob's"}, "/before"),
    ],
)
async def test_a_move_whose_target_is_missing_or_wrong_is_refused_with_the_place_of_the_error(
    people: People, body: dict[str, Any], pointer: str
) -> None:
    ann, bob = people.one("ann"), people.one("bob")
    task, gone = await ann.create(), await ann.create()
    await ann.ask("DELETE", gone["id"])
    names = {"self": task["id"], "trashed": gone["id"], "bob's": (await bob.create())["id"]}
    body = {side: names.get(value, value) for side, value in body.items()}

    response = await ann.ask("POST", f"{task['id']}/move", json=body)

    assert response.status_code == 400
    assert pointer in {error["pointer"] for error in response.json()["errors"]}
    assert (await ann.ask("GET")).json() == [task]


async def test_each_of_two_moves_at_once_is_done_completely(people: People) -> None:
    ann = people.one()
    expected, rng = await create_tasks(ann, 10), random.Random(1)

    async def position_after(move: tuple[str, str, str]) -> str:
        task, side, beside = move
        response = await ann.ask("POST", f"{task}/move", json={side: beside})
        assert response.status_code == 200, response.text
        position: str = response.json()["position"]
        return position

    for _ in range(500):
        one, other = (random_move(expected, rng) for _ in range(2))
        positions = await asyncio.gather(position_after(one), position_after(other))
        assert max(map(len, positions)) <= POSITION_MAX
        seen = await order(ann)
        assert seen in (moved(moved(expected, *one), *other), moved(moved(expected, *other), *one))
        expected = seen


async def test_given_no_room_between_two_tasks_then_a_move_spreads_the_tasks_in_their_order(
    people: People,
) -> None:
    ann = people.one()
    expected = await create_tasks(ann, 3)

    for _ in range(700):  # each move halves the room before the last task, which is used up after about 640
        task, _, last = expected
        expected = moved(expected, task, "before", last)
        response = await ann.ask("POST", f"{task}/move", json={"before": last})
        assert response.status_code == 200
    assert await order(ann) == expected
    last_task = (await ann.ask("GET", expected[2])).json()
    assert last_task["version"] > 1  # no move was of this task, so it was spread

    new = (await ann.create())["id"]
    assert await order(ann) == [new, *expected]
