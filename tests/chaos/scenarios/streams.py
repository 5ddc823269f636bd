"""Event streams while announcements of changes are lost: the store between machines fails, or a worker dies."""

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from typing import Any, Final
from uuid import uuid4

import httpx
import psutil

from tests.chaos.harness import Harness, new_people, port_of
from tests.chaos.judge import BUSY_SECONDS, OK_STATUSES, STATUSES_IF_KILLED, Allowed
from tests.chaos.proxy import Proxy, proxy_to
from tests.chaos.scenario import scenario
from tests.chaos.scenarios.processes import START
from tests.support.event_streams import EventReader, event_stream
from tests.support.processes import workers
from tests.support.servers.postgres_proxy import tcp_proxy
from tests.support.servers.redis import store_in
from tests.support.servers.service import Service
from tests.support.waiting import wait_until

FOLLOWERS: Final = 8  # people who follow their tasks and write only during a fault
NOTICED: Final = 6.0 + BUSY_SECONDS  # seconds: 3 s of silence until a check, and 3 s for its reply
HEARD: Final = 3.0 + BUSY_SECONDS  # seconds after the store or the worker is back


@scenario(
    "`LIVE_STORE` killed, paused, half open",
    Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0, answers=OK_STATUSES),
)
def live_store(harness: Harness) -> None:
    (place := harness.folder / "store").mkdir()
    with ExitStack() as stack:
        store = stack.enter_context(store_in(place))
        proxy = stack.enter_context(harness.background.entered(proxy_to(store.port)))
        settings = {"LIVE_STORE": f"redis://127.0.0.1:{proxy.port}"}
        here, there = (
            stack.enter_context(harness.serving(settings=settings, folder=name)) for name in ("here", "there")
        )
        streams = {owner: open_stream(harness, stack, there, owner) for owner in new_people(FOLLOWERS)}
        faults: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {  # what fails, and what recovers
            "killed": (store.kill, store.start),
            "paused": (partial(store.signal, signal.SIGSTOP), partial(store.signal, signal.SIGCONT)),
            "half open": (partial(hold, proxy), partial(forget, harness, proxy)),
        }
        if not harness.long:
            del faults["paused"]  # to the service, a paused store looks like a half-open one
        with harness.under_load(here), harness.fault():
            for name, (fail, recover) in faults.items():
                fail()
                noticed = wait_until(lambda: not any(map(is_live, streams.values())))
                title = f"written while the store is {name}"
                for owner in streams:
                    write(here, owner, title)
                recover()
                heard = wait_until(
                    lambda: all(is_live(each) and title in titles(each) for each in streams.values())  # noqa: B023 - called at once
                )
                harness.promise(
                    noticed <= NOTICED and heard <= HEARD,
                    f"{name}: streams say `live: false` after {noticed:.1f} s,"
                    f" and show every change {heard:.1f} s after the return",
                )


@scenario(
    "a worker killed between COMMIT and its announcement",
    Allowed(outage=START, slowest=5.0, answers=STATUSES_IF_KILLED, back=3.0),
)
def worker_killed_unannounced(harness: Harness) -> None:
    title, (owner,) = f"committed {uuid4().hex}", new_people(1)
    with ExitStack() as stack:
        database_proxy = stack.enter_context(tcp_proxy(harness.database_url))
        service = stack.enter_context(harness.serving(database_proxy.url, {"WEB_CONCURRENCY": "2"}))
        with harness.under_load(service, after=4.0) as load:
            # This write creates the owner's row. So the next one is a single statement, whose confirmation the proxy
            # recognises.
            write(service, owner, "first")
            stream = open_stream(harness, stack, service, owner)
            connection, writer = connection_to_another_worker(service, port_of_stream(stream))
            harness.background.run(load.pause())  # the proxy would drop the confirmations of its writes too
            with harness.fault():
                database_proxy.drop_confirmations.set()
                headers = {**service.headers(owner), "idempotency-key": "once"}
                headers["content-type"] = "application/json"
                connection.request("POST", "/api/me/tasks", json.dumps({"title": title}), headers)
                wait_until(lambda: harness.sql(f"SELECT count(*) FROM tasks WHERE title = '{title}'") == "1")
                writer.kill()
                died = time.monotonic()
                database_proxy.drop_confirmations.clear()
            harness.background.run(load.resume())
            wait_until(lambda: title in titles(stream))
            heard = time.monotonic() - died
        harness.promise(
            heard <= START + HEARD and not stream.ended,
            f"a stream of another worker shows the change {heard:.1f} s after the death"
            f" (the next worker may take {START:g} s to start)",
        )


def open_stream(harness: Harness, stack: ExitStack, service: Service, owner: str) -> EventReader:
    """Open a stream of one person, which is read in the background until the stack ends."""
    enter = harness.background.entered
    client = stack.enter_context(enter(httpx.AsyncClient()))
    stream = stack.enter_context(enter(event_stream(client, service.url, service.headers(owner))))
    wait_until(lambda: bool(stream.named("ready")))
    return stream


def write(service: Service, owner: str, title: str) -> None:
    """Create a task of one person."""
    headers = service.headers(owner)
    httpx.post(f"{service.url}/api/me/tasks", headers=headers, json={"title": title}).raise_for_status()


def is_live(stream: EventReader) -> bool:
    """Return whether a stream gets changes of other machines, as its `live` says."""
    events = stream.named("live")
    return not events or events[-1].data["live"]


def titles(stream: EventReader) -> set[str]:
    """Return the titles of the tasks that the stream has shown."""
    return {task["title"] for task in stream.tasks.values() if task}


def hold(proxy: Proxy) -> None:
    """Stop forwarding, and keep the connections open."""
    proxy.behaviour = "hold"


def forget(harness: Harness, proxy: Proxy) -> None:
    """Abort the connections, with the bytes that were not forwarded, and forward again."""
    harness.background.run(proxy.cut())
    proxy.behaviour = "pass"


def port_of_stream(stream: EventReader) -> int:
    """Return the client's port of a stream's connection."""
    return int(stream.response.extensions["network_stream"].get_extra_info("client_addr")[1])


def connection_to_another_worker(service: Service, port: int) -> tuple[HTTPConnection, psutil.Process]:
    """Connect to a worker other than that of the connection from `port`; return the connection and its worker."""
    other = worker_at(service, port)
    for _ in range(1000):
        connection = HTTPConnection("127.0.0.1", port_of(service), timeout=20)
        connection.request("GET", "/health")
        connection.getresponse().read()
        worker = worker_at(service, connection.sock.getsockname()[1])
        if worker != other:
            return connection, worker
        connection.close()
    raise TimeoutError("one worker takes every connection")


def worker_at(service: Service, port: int) -> psutil.Process:
    """Return the worker that serves the connection from this port of the client."""
    return next(
        worker
        for worker in workers(service)
        if any(each.raddr[1:] == (port,) for each in worker.net_connections("tcp"))
    )
