"""The counts of requests in one process need limited memory, even if a flood invents names."""

import tracemalloc

from app.domain.rate_limit import NAMES_MAX, MemoryCounter


async def count(counts: MemoryCounter, name: str) -> int:
    """Count one request of a name in one window of a minute. Return how many there are in it."""
    return await counts.add(name, 28_333_333, 60)  # the window has a number as large as real ones


async def test_the_counter_keeps_at_most_twice_as_many_names_as_its_limit() -> None:
    """It has two generations of names, and the limit is that of one."""
    counts = MemoryCounter(names_max=10)

    for number in range(1000):
        await count(counts, f"name {number}")
        assert len(counts) <= 20


async def test_an_active_client_is_not_evicted_by_a_flood_of_others() -> None:
    counts = MemoryCounter(names_max=10)

    found = []
    for number in range(1000):
        await count(counts, f"name {number}")
        if number % 5 == 0:
            found.append(await count(counts, "ann"))

    assert found == list(range(1, 201))


async def test_a_counter_full_of_addresses_takes_less_than_30_mb() -> None:
    counts = MemoryCounter()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    for number in range(3 * NAMES_MAX):
        await count(counts, f"address:2001:db8:{number:x}::/64")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert after - before < 30_000_000
