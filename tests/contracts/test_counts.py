"""The contract of both counters of requests: in one process, and in a store that several processes share.

`add(name, number, window)` counts one request in the window of that number, and returns the count; `window` is in
seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from uuid import uuid4

import pytest

from app.domain.rate_limit import MemoryCounter, RequestCounter
from app.infra import redis_counter
from app.infra.redis_counter import RedisCounter
from tests.support.servers.redis import Store, store_in


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A Valkey or Redis."""
    with store_in(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(params=["process", pytest.param("shared", marks=pytest.mark.server)])
async def counter(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RequestCounter]:
    """The counter of a process, or the one in the store. With the store, nothing may be counted in the process."""
    monkeypatch.setattr(redis_counter, "PATIENCE", 30.0)  # long, since the machine may be busy
    own = MemoryCounter()
    shared = request.param == "shared"
    counter: RequestCounter = RedisCounter(request.getfixturevalue("store").url, own) if shared else own
    yield counter
    await counter.close()
    if shared:
        assert len(own) == 0


@pytest.fixture
def name() -> str:
    """A name that no other test counts."""
    return f"person:{uuid4()}"


async def test_each_call_adds_one(counter: RequestCounter, name: str) -> None:
    assert [await counter.add(name, 1, 60) for _ in range(3)] == [1, 2, 3]


async def test_a_new_window_begins_with_one(counter: RequestCounter, name: str) -> None:
    assert [await counter.add(name, number, 60) for number in (7, 7, 8, 8, 9)] == [1, 2, 1, 2, 1]


async def test_each_name_is_counted_separately(counter: RequestCounter, name: str) -> None:
    await counter.add(name, 1, 60)

    assert await counter.add(f"{name} ", 1, 60) == 1


async def test_additions_at_the_same_time_are_all_counted(counter: RequestCounter, name: str) -> None:
    found = await asyncio.gather(*(counter.add(name, 1, 60) for _ in range(200)))

    assert sorted(found) == list(range(1, 201))


@pytest.mark.parametrize("change", [str.upper, lambda name: name + "ä\ud800\r\n 🎉", lambda name: name * 9])
async def test_any_name_is_counted(counter: RequestCounter, name: str, change: Callable[[str], str]) -> None:
    assert [await counter.add(change(name), 1, 60) for _ in range(2)] == [1, 2]
