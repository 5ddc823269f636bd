"""A toggle is one atomic statement."""

import asyncio
from collections import Counter

import pytest

from tests.support.people import People

pytestmark = pytest.mark.server


async def test_fifty_one_parallel_toggles_of_an_open_task_each_count(people: People) -> None:
    ann = people.one()
    task = await ann.create()

    answers = await asyncio.gather(*(ann.ask("PATCH", f"{task['id']}/complete") for _ in range(51)))

    assert {answer.status_code for answer in answers} == {200}
    assert Counter(answer.json()["completed"] for answer in answers) == {True: 26, False: 25}
    assert (await ann.ask("GET", task["id"])).json()["completed"] is True
