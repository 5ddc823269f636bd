"""Rate limit: how many requests are allowed in a period."""

import asyncio
from collections import Counter

from app.domain.rate_limit import MemoryCounter, Policy, RateLimit

POLICY = Policy("person", quota=3, window=60)


class Clock:
    """A clock that moves only when a test sets it."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def limit_at(clock: Clock, policy: Policy = POLICY) -> RateLimit:
    return RateLimit(policy, MemoryCounter(), clock)


async def test_as_many_requests_as_the_quota_are_accepted_and_not_one_more() -> None:
    limit = limit_at(Clock())

    states = [await limit.count_request("ann") for _ in range(5)]

    assert [state.remaining for state in states] == [2, 1, 0, -1, -1]
    assert [state.exceeded for state in states] == [False, False, False, True, True]


async def test_everyone_has_a_quota_of_their_own() -> None:
    limit = limit_at(Clock())
    for _ in range(4):
        await limit.count_request("ann")

    assert not (await limit.count_request("bob")).exceeded


async def test_the_full_quota_is_available_again_exactly_after_the_reported_time() -> None:
    clock = Clock()
    limit = limit_at(clock)
    reset = [await limit.count_request("ann") for _ in range(4)][-1].reset

    clock.now += reset - 1
    early = await limit.count_request("ann")
    clock.now += 1
    late = await limit.count_request("ann")

    assert 1 <= reset <= POLICY.window
    assert (early.exceeded, early.reset) == (True, 1)
    assert (late.remaining, late.reset) == (2, 60)


async def test_the_windows_of_different_people_end_at_different_times() -> None:
    limit = limit_at(Clock())

    resets = Counter([(await limit.count_request(f"person {number}")).reset for number in range(1000)])

    assert len(resets) == 60
    assert max(resets.values()) < 50


async def test_the_quota_is_exact_for_requests_at_the_same_time() -> None:
    limit = limit_at(Clock(), Policy("person", quota=50, window=60))

    states = await asyncio.gather(*(limit.count_request("ann") for _ in range(200)))

    assert sum(not state.exceeded for state in states) == 50
