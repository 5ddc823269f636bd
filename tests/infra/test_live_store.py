"""Two hubs represent two machines. They announce changes to each other through a real Valkey or Redis.

The tests kill, pause and restart that store.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from app.infra import live_store
from app.infra.live_store import CHANNEL, LiveStore
from app.live import hub as hub_module
from app.live.change_marks import ChangeMarks, digest_of
from app.live.hub import Hub, Stream
from tests.support.factories import someone
from tests.support.servers.redis import Store, store_in
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.server

ANN, BOB = someone("ann"), someone("bob")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A Valkey or Redis."""
    with store_in(tmp_path_factory.mktemp("store")) as store:
        yield store


@dataclass
class Machine:
    """A machine's hub and its connection to the store."""

    hub: Hub
    live: LiveStore


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine retry soon, and its streams reread at once."""
    monkeypatch.setattr(live_store, "RETRY", 0.05)
    monkeypatch.setattr(live_store, "PATIENCE", 20.0)  # the computer that runs the tests may be busy
    monkeypatch.setattr(hub_module, "SPREAD", 0.0)


@pytest.fixture
async def machines(store: Store) -> AsyncIterator[list[Machine]]:
    """Two machines that are connected to the store."""
    machines = []
    for _ in range(2):
        hub = Hub(ChangeMarks(is_shared=False))
        machines.append(Machine(hub, LiveStore(store.url, hub)))
        await machines[-1].live.start()
    for machine in machines:
        await wait_until_async(lambda: machine.hub.live)  # noqa: B023 - called at once
    yield machines
    for machine in machines:
        await machine.live.close()
        machine.hub.close()


async def reset(stream: Stream) -> None:
    """Wait 0.2 s for the announcements that each machine sends at its start, then clear the stream's flag."""
    await asyncio.sleep(0.2)
    stream.changed = False


async def test_a_change_on_one_machine_wakes_the_owners_streams_on_the_other(machines: list[Machine]) -> None:
    here, there = machines
    with there.hub.open(ANN) as stream, there.hub.open(BOB) as other:
        await reset(stream)
        other.changed = False

        here.hub.announce(ANN)

        await wait_until_async(lambda: stream.changed)
        assert not other.changed


async def test_changes_within_20_ms_are_one_message_with_the_hash_of_each_user_id(
    store: Store, machines: list[Machine]
) -> None:
    owners = [someone() for _ in range(50)]
    with redis.Redis(port=store.port) as client:
        listener = client.pubsub(ignore_subscribe_messages=True)
        listener.subscribe(CHANNEL)
        # This reads the confirmation of `subscribe`, for which redis-py returns None.
        assert listener.get_message(timeout=5) is None
        await asyncio.sleep(0.2)
        while listener.get_message():
            pass

        for owner in owners:
            machines[0].hub.announce(owner)
        message = await asyncio.to_thread(lambda: listener.get_message(timeout=5))

    data, size = message["data"][live_store.SENDER_BYTES :], live_store.DIGEST_BYTES
    assert {data[at : at + size] for at in range(0, len(data), size)} == {
        digest_of(owner) for owner in owners
    }


async def test_nothing_is_published_while_nothing_changes(store: Store, machines: list[Machine]) -> None:
    await asyncio.sleep(0.2)  # until the announcements of the start have been published
    with redis.Redis(port=store.port) as client:
        before = client.info("commandstats")["cmdstat_publish"]["calls"]
        await asyncio.sleep(0.5)
        after = client.info("commandstats")["cmdstat_publish"]["calls"]

    assert after == before


async def test_given_a_killed_store_then_hubs_are_not_live_and_streams_reread_when_the_store_is_back(
    store: Store, machines: list[Machine]
) -> None:
    here, there = machines
    with there.hub.open(ANN) as stream, capture_logs() as logged:
        await reset(stream)
        store.kill()
        await wait_until_async(lambda: not there.hub.live)
        here.hub.announce(ANN)  # no machine receives this announcement
        await asyncio.sleep(0.2)
        unheard = not stream.changed
        store.start()
        await wait_until_async(lambda: there.hub.live and here.hub.live and stream.changed)
        await wait_until_async(lambda: here.live.trouble is None and there.live.trouble is None)

    assert unheard
    events = [line["event"] for line in logged]
    assert events.count("changes are not announced to other machines") == 2  # once for each machine
    assert events.count("changes are announced to other machines again") == 2
    assert all("LIVE_STORE" in line.get("reason", "LIVE_STORE") for line in logged)


async def test_given_a_paused_store_then_hubs_are_not_live_and_streams_reread_when_the_store_continues(
    store: Store, machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = machines
    with there.hub.open(ANN) as stream:
        await reset(stream)
        monkeypatch.setattr(live_store, "PING", 0.3)
        monkeypatch.setattr(live_store, "PATIENCE", 0.3)
        there.hub.announce(ANN)  # wakes the listeners of both machines from their wait
        await reset(stream)
        store.signal(signal.SIGSTOP)
        try:
            here.hub.announce(ANN)
            await wait_until_async(lambda: not there.hub.live)
            unheard = not stream.changed
        finally:
            store.signal(signal.SIGCONT)

        await wait_until_async(lambda: there.hub.live and stream.changed)

    assert unheard


async def test_given_a_failed_publish_while_the_subscription_works_then_the_retry_wakes_the_streams(
    store: Store, machines: list[Machine]
) -> None:
    here, there = machines
    with there.hub.open(ANN) as stream:
        await reset(stream)
        with redis.Redis(port=store.port) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # not the subscribers
        here.hub.announce(ANN)

        await wait_until_async(lambda: stream.changed)
        assert there.hub.live


async def test_given_only_the_subscription_is_lost_then_streams_reread_after_the_resubscription(
    store: Store, machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = machines
    monkeypatch.setattr(live_store, "RETRY", 0.5)
    with there.hub.open(ANN) as stream:
        await reset(stream)
        with redis.Redis(port=store.port) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await wait_until_async(lambda: not there.hub.live)
        here.hub.announce(ANN)  # published, but the other machine does not receive it

        await wait_until_async(lambda: there.hub.live and stream.changed and here.live.trouble is None)


async def test_given_a_new_machine_then_the_streams_of_the_other_machines_reread(
    store: Store, machines: list[Machine]
) -> None:
    with machines[1].hub.open(ANN) as stream:
        await reset(stream)
        hub = Hub(ChangeMarks(is_shared=False))
        third = LiveStore(store.url, hub)
        await third.start()

        await wait_until_async(lambda: stream.changed)
    await third.close()


async def test_given_the_store_is_down_from_the_start_then_trouble_is_set_and_local_announcements_work(
    tmp_path: Path,
) -> None:
    hub = Hub(ChangeMarks(is_shared=False))
    with store_in(tmp_path) as gone:
        pass
    live = LiveStore(gone.url, hub)
    await live.start()
    with hub.open(ANN) as stream:
        await wait_until_async(lambda: live.trouble)
        hub.announce(ANN)

        assert (stream.changed, hub.live, hub.reach) == (True, False, "store")
    await live.close()


async def test_the_rights_publish_subscribe_and_ping_are_enough_for_an_idle_subscription(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = ["+publish", "+subscribe", "+ping"]
    with redis.Redis(port=store.port) as client:
        client.acl_setuser("live", enabled=True, passwords=["+x"], commands=rights, channels=[CHANNEL])
    replies: list[object] = []
    monkeypatch.setattr(live_store, "PING", 0.3)
    monkeypatch.setattr(LiveStore, "_handle", lambda _, reply: replies.append(reply))
    hub = Hub(ChangeMarks(is_shared=False))
    live = LiveStore(f"redis://live:x@localhost:{store.port}", hub)

    await live.start()
    await wait_until_async(lambda: [b"pong", b""] in replies and live.trouble is None)

    await live.close()
