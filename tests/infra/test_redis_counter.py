"""Counting requests in a real store, which the tests kill, pause and start again."""

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

pytestmark = pytest.mark.server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
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


async def until_store_is_back(counts: RedisCounter) -> None:
    async with asyncio.timeout(20):
        while counts.trouble is not None:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.02)


async def test_two_processes_count_together(store: Store, counts: RedisCounter) -> None:
    other = RedisCounter(store.url, MemoryCounter())

    found = await asyncio.gather(*(one.add("ann", 1, 60) for one in (counts, other) for _ in range(100)))

    assert sorted(found) == list(range(1, 201))
    await other.close()


async def test_a_burst_opens_few_connections(store: Store, counts: RedisCounter) -> None:
    await asyncio.gather(*(counts.add("ann", 1, 60) for _ in range(200)))

    with redis.Redis(port=store.port) as client:
        # The one more is the connection of this query.
        assert client.info("clients")["connected_clients"] <= CONNECTIONS + 1


async def test_the_store_has_no_user_ids_or_addresses_and_each_count_expires_with_its_window(
    store: Store, counts: RedisCounter
) -> None:
    await counts.add("person:ann@example.com", 1, 60)

    with redis.Redis(port=store.port) as client:
        (key,) = client.keys()
        assert b"ann" not in key
        assert 0 < client.ttl(key) <= 60


async def test_given_a_killed_store_then_the_process_counts_alone_and_logs_the_loss_once(
    store: Store, counts: RedisCounter
) -> None:
    await counts.add("ann", 1, 60)
    store.kill()

    with capture_logs() as logged:
        found = await asyncio.gather(*(counts.add("ann", 1, 60) for _ in range(50)))
        again = [await counts.add("ann", 1, 60) for _ in range(3)]

    assert sorted(found) == list(range(1, 51))
    assert again == [51, 52, 53]
    assert [line["event"] for line in logged] == ["rate limits are not shared: their store is unavailable"]


async def test_given_a_paused_store_then_only_the_requests_of_one_moment_wait(
    store: Store, counts: RedisCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await counts.add("ann", 1, 60)
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
        await asyncio.gather(*(counts.add("ann", 1, 60) for _ in range(50)))
        at_first = len(waited)
        for _ in range(1000):
            await counts.add("ann", 1, 60)
    store.signal(signal.SIGCONT)

    assert 0 < at_first <= CONNECTIONS
    assert len(waited) == at_first


async def test_given_the_store_is_back_then_the_store_counts_again_and_no_reply_is_mixed_up(
    store: Store, counts: RedisCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await counts.add("ann", 1, 60)
    wait_as_in_production(monkeypatch)
    store.signal(signal.SIGSTOP)
    await asyncio.gather(*(counts.add("bob", 1, 60) for _ in range(20)))  # the replies to these come too late
    wait_long(monkeypatch)

    with capture_logs() as logged:
        store.signal(signal.SIGCONT)
        await until_store_is_back(counts)
        found = await asyncio.gather(*(counts.add(f"new {number}", 1, 60) for number in range(50)))

    assert set(found) == {1}
    assert await counts.add("ann", 1, 60) == 6
    assert [line["event"] for line in logged] == ["rate limits are shared again: their store is back"]


async def test_given_a_restarted_store_then_the_store_counts_again(
    store: Store, counts: RedisCounter
) -> None:
    for _ in range(5):
        await counts.add("ann", 1, 60)
    store.kill()
    await counts.add("ann", 1, 60)
    store.start()

    await until_store_is_back(counts)
    await counts.add("ann", 1, 60)

    with redis.Redis(port=store.port) as client:
        assert len([key for key in client.scan_iter() if PROBE.encode() not in key]) == 1


async def test_given_no_store_from_the_start_then_the_process_counts_alone(store: Store) -> None:
    store.kill()
    counts = RedisCounter(store.url, MemoryCounter())

    assert [await counts.add("ann", 1, 60) for _ in range(3)] == [1, 2, 3]
    await counts.close()
