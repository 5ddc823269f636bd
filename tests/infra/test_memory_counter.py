"""The counts of requests in one process need limited memory, even if a flood invents names."""

import tracemalloc

from app.domain.rate_limit import NAMES_MAX, MemoryCounter


async def test_the_counter_keeps_at_most_twice_as_many_names_as_its_limit() -> None:
    """It has two generations of names, and the limit is that of one."""
    counts = MemoryCounter(names_max=10)

    for number in range(1000):
        await counts.add(f"name {number}", 1, 60)
        assert len(counts) <= 20


async def test_an_active_client_is_not_evicted_by_a_flood_of_others() -> None:
    counts = MemoryCounter(names_max=10)

    found = []
    for number in range(1000):
        await counts.add(f"name {number}", 1, 60)
        if number % 5 == 0:
            found.append(await counts.add("ann", 1, 60))

    assert found == list(range(1, 201))


async def test_a_counter_full_of_addresses_takes_less_than_30_mb() -> None:
    counts = MemoryCounter()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    for number in range(3 * NAMES_MAX):
        await counts.add(f"address:2001:db8:{number:x}::/64", 28_333_333, 60)  # a window of the year 2023
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert after - before < 30_000_000
