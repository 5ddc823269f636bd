"""Counting requests in a real Valkey or Redis, which the tests kill, pause and start again."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from app.domain.rate_limit import MemoryCounter
from app.infra import redis_counter
from app.infra.redis_counter import CONNECTIONS, PATIENCE, PROBE, RedisCounter
from tests.support.servers.redis import Store, store_in
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A Valkey or Redis."""
    with store_in(tmp_path) as store:
        yield store


@pytest.fixture
async def counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisCounter]:
    """A counter with the store. Requests wait long for it, unless the test changes that."""
    wait_long(monkeypatch)
    counts = RedisCounter(store.url, MemoryCounter())
    yield counts
    await counts.close()


def wait_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests wait long for the store, since the machine may be busy."""
    monkeypatch.setattr(redis_counter, "PATIENCE", 20.0)


def wait_as_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests wait for the store as long as in production."""
    monkeypatch.setattr(redis_counter, "PATIENCE", PATIENCE)


async def count(counts: RedisCounter, name: str = "ann") -> int:
    """Count one request of a person in one window of a minute. Return how many there are in it."""
    return await counts.add(name, 1, 60)


async def test_two_processes_count_together(store: Store, counts: RedisCounter) -> None:
    other = RedisCounter(store.url, MemoryCounter())

    found = await asyncio.gather(*(count(one) for one in (counts, other) for _ in range(100)))

    assert sorted(found) == list(range(1, 201))
    await other.close()


async def test_a_burst_opens_few_connections(store: Store, counts: RedisCounter) -> None:
    await asyncio.gather(*(count(counts) for _ in range(200)))

    with redis.Redis(port=store.port) as client:
        # One more: the connection of this query.
        assert client.info("clients")["connected_clients"] <= CONNECTIONS + 1


async def test_the_store_has_no_user_ids_or_addresses_and_each_count_expires_with_its_window(
    store: Store, counts: RedisCounter
) -> None:
    await count(counts, "person:ann@example.com")
    await count(counts, "address:192.0.2.1")

    with redis.Redis(port=store.port) as client:
        keys = client.keys()
        assert len(keys) == 2
        assert not any(private in key for key in keys for private in (b"ann", b"192.0.2.1"))
        assert all(0 < client.ttl(key) <= 60 for key in keys)


async def test_given_a_killed_store_then_the_process_counts_alone_and_logs_the_loss_once(
    store: Store, counts: RedisCounter
) -> None:
    await count(counts)
    store.kill()

    with capture_logs() as logged:
        found = await asyncio.gather(*(count(counts) for _ in range(50)))
        again = [await count(counts) for _ in range(3)]

    assert sorted(found) == list(range(1, 51))
    assert again == [51, 52, 53]
    assert [line["event"] for line in logged] == ["rate limits are not shared: their store is unavailable"]


async def test_given_a_paused_store_then_its_first_requests_wait_and_later_ones_do_not(
    store: Store, counts: RedisCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await count(counts)
    waited: list[str] = []
    storage = counts._storage
    incr = storage.incr

    async def counted_incr(key: str, expiry: int, amount: int = 1) -> int:
        if key != PROBE:
            waited.append(key)
        return await incr(key, expiry, amount)

    monkeypatch.setattr(storage, "incr", counted_incr)
    wait_as_in_production(monkeypatch)
    store.signal(signal.SIGSTOP)

    async with asyncio.timeout(30):  # a wait without an end would fail here
        await asyncio.gather(*(count(counts) for _ in range(50)))
        at_first = len(waited)
        for _ in range(1000):
            await count(counts)
    store.signal(signal.SIGCONT)

    assert 0 < at_first <= CONNECTIONS
    assert len(waited) == at_first


async def test_given_the_store_is_back_then_the_store_counts_again_and_no_reply_is_mixed_up(
    store: Store, counts: RedisCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await count(counts)
    wait_as_in_production(monkeypatch)
    store.signal(signal.SIGSTOP)
    await asyncio.gather(
        *(count(counts, "bob") for _ in range(20))
    )  # the replies to these requests come too late
    wait_long(monkeypatch)

    with capture_logs() as logged:
        store.signal(signal.SIGCONT)
        await wait_until_async(lambda: counts.trouble is None)
        found = await asyncio.gather(*(count(counts, f"new {number}") for number in range(50)))

    assert set(found) == {1}
    assert await count(counts) == 6
    assert [line["event"] for line in logged] == ["rate limits are shared again: their store is back"]


async def test_given_a_restarted_store_then_the_store_counts_again(
    store: Store, counts: RedisCounter
) -> None:
    for _ in range(5):
        await count(counts)
    store.kill()
    await count(counts)
    store.start()

    await wait_until_async(lambda: counts.trouble is None)
    await count(counts)

    with redis.Redis(port=store.port) as client:
        assert len([key for key in client.scan_iter() if PROBE.encode() not in key]) == 1


async def test_given_no_store_from_the_start_then_the_process_counts_alone(store: Store) -> None:
    store.kill()
    counts = RedisCounter(store.url, MemoryCounter())

    assert [await count(counts) for _ in range(3)] == [1, 2, 3]
    await counts.close()
