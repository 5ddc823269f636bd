"""A large body waits for its turn while the large bodies that the service works on take all the memory allowed."""

import asyncio

import pytest

from app.api.backpressure import IN_PROGRESS_MAX, EndTurn, LargeBodies
from app.domain.errors import TooBusy, TooManyBodies

QUARTER = IN_PROGRESS_MAX // 4


async def take_all_memory(bodies: LargeBodies) -> list[EndTurn]:
    """Let four people each have a body that takes a quarter of the memory."""
    return [await bodies.wait_for_turn(f"person {number}", QUARTER) for number in range(4)]


async def test_of_the_waiting_bodies_the_smallest_goes_first_and_equal_ones_go_in_order_of_arrival() -> None:
    bodies, order = LargeBodies(), []
    turns = await take_all_memory(bodies)

    async def work(name: str, size: int) -> None:
        end_turn = await bodies.wait_for_turn(name, size)
        order.append(name)
        await asyncio.sleep(0)
        end_turn()

    waiting = [
        asyncio.create_task(work(name, size))
        for name, size in (("large", QUARTER), ("later", QUARTER), ("small", 20_000), ("smaller", 19_000))
    ]
    await asyncio.sleep(0.01)
    before = list(order)
    turns[0]()
    await asyncio.gather(*waiting)

    assert before == []
    assert order == ["smaller", "small", "large", "later"]


async def test_a_body_that_waits_too_long_is_refused_and_the_next_one_of_its_person_can_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies = LargeBodies()
    turns = await take_all_memory(bodies)
    monkeypatch.setattr("app.api.backpressure.TURN_TIMEOUT", 0.05)

    with pytest.raises(TooBusy):
        await bodies.wait_for_turn("ann", 20_000)
    with pytest.raises(TooManyBodies):
        await bodies.wait_for_turn("person 1", 20_000)
    for end_turn in turns:
        end_turn()
    await bodies.wait_for_turn("ann", QUARTER)
    for number in range(3):
        await bodies.wait_for_turn(f"other {number}", QUARTER)
    with pytest.raises(TooBusy):
        await bodies.wait_for_turn("one too many", QUARTER)


async def test_a_body_whose_client_disconnects_when_its_turn_comes_takes_no_memory() -> None:
    bodies = LargeBodies()
    turns = await take_all_memory(bodies)
    waiting = asyncio.create_task(bodies.wait_for_turn("ann", QUARTER))
    await asyncio.sleep(0)

    turns.pop()()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert waiting.cancelled()
    async with asyncio.timeout(5):
        await bodies.wait_for_turn("ann", QUARTER)
