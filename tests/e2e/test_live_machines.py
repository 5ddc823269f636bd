"""Two machines that share a store: changes on one reach the streams of the other, even after faults.

Each of these faults, put into the code on purpose, made a test fail: a failed publish is not repeated; a process
announces nothing at its start; streams do not read after a subscription was renewed.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import httpx
import pytest

from tests.conftest import environment_for
from tests.support.event_streams import create, event_stream
from tests.support.factories import someone
from tests.support.processes import workers
from tests.support.servers.postgres_proxy import TcpProxy, tcp_proxy
from tests.support.servers.redis import Store, store_in
from tests.support.servers.service import Service, serving

pytestmark = pytest.mark.server

RECOVERY = 3 + 17  # seconds until a stream must have the missed changes: 3, and 17 more on a busy machine


@dataclass
class Machines:
    """Two services, and the store that they share."""

    here: Service
    there: Service
    store: Store
    database_proxy: TcpProxy  # between `here` and the database
    store_proxy: TcpProxy  # between `there` and the store


@pytest.fixture(scope="module")
def machines(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with ExitStack() as stack:
        store = stack.enter_context(store_in(tmp_path_factory.mktemp("store")))
        database_proxy = stack.enter_context(tcp_proxy(database_url))
        store_proxy = stack.enter_context(tcp_proxy(store.url))
        here, there = (
            stack.enter_context(
                serving(environment_for(url, LIVE_STORE=store_url), tmp_path_factory.mktemp("service"))
            )
            for url, store_url in ((database_proxy.url, store.url), (database_url, store_proxy.url))
        )
        yield Machines(here, there, store, database_proxy, store_proxy)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield client


async def test_a_change_on_one_machine_reaches_a_stream_of_the_other(
    machines: Machines, client: httpx.AsyncClient
) -> None:
    ann = machines.here.headers(someone("ann"))
    async with event_stream(client, machines.there.url, ann) as stream:
        ready = await stream.until_event("ready")
        await create(client, machines.here, ann, "from afar")
        await stream.until_title("from afar")

    assert ready.data == {"reach": "store"}


@pytest.mark.parametrize("fault", ["is killed", "loses all packets"])
async def test_given_the_store_fails_then_streams_get_live_false_and_later_the_missed_changes(
    machines: Machines, client: httpx.AsyncClient, fault: str
) -> None:
    fail, recover = (
        (machines.store.kill, machines.store.start)
        if fault == "is killed"
        else (machines.store_proxy.drop_everything.set, machines.store_proxy.drop_everything.clear)
    )
    ann = machines.here.headers(someone("ann"))
    async with event_stream(client, machines.there.url, ann) as stream:
        await stream.until_event("ready")
        fail()
        away = await stream.until_event("live")
        await create(client, machines.here, ann, "unheard")
        await create(client, machines.there, ann, "heard on the same machine")
        await stream.until_title("heard on the same machine")
        await create(client, machines.here, ann, "unheard too")
        recover()
        await stream.until_title("unheard too", RECOVERY)
        await stream.until(lambda: len(stream.named("live")) == 2)

    assert away.data == {"live": False}
    assert stream.named("live")[1].data == {"live": True}


async def test_given_a_worker_killed_between_commit_and_announcement_then_its_replacement_makes_streams_reread(
    machines: Machines, client: httpx.AsyncClient
) -> None:
    ann = machines.here.headers(someone("ann"))

    def write() -> None:
        headers = {**ann, "idempotency-key": "once"}
        with suppress(httpx.TransportError):  # the worker is killed before it responds
            httpx.post(f"{machines.here.url}/api/me/tasks", headers=headers, json={"title": "committed"})

    await create(client, machines.here, ann, "first")
    async with event_stream(client, machines.there.url, ann) as stream:
        await stream.until_event("ready")
        machines.database_proxy.drop_confirmations.set()
        writing = threading.Thread(target=write)
        writing.start()
        # Then the transaction has committed, and the worker does not know it.
        assert await asyncio.to_thread(machines.database_proxy.confirmation_dropped.wait, 20)
        (worker,) = workers(machines.here)
        worker.kill()
        machines.database_proxy.drop_confirmations.clear()
        await stream.until_title("committed", RECOVERY)
        await asyncio.to_thread(writing.join)
