"""Event streams of real processes: what arrives, how a stream ends, and that disconnected clients leave nothing behind."""

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from httpx_sse import aconnect_sse

from app.infra.auth.jwt_claims import LEEWAY
from app.infra.auth.jwt_verifier import issue_token
from app.infra.postgres.database import POOL_SIZE
from app.live.hub import PERSON_MAX
from tests.conftest import environment_for
from tests.support.event_streams import EventReader, create, event_stream
from tests.support.factories import someone
from tests.support.people import TRUST
from tests.support.processes import descriptors, memory
from tests.support.servers.jwks import jwks_server
from tests.support.servers.postgres_proxy import tcp_proxy
from tests.support.servers.service import Service, serving
from tests.support.signing import SigningKey
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.server

HURRIED = (sys.executable, "-m", "tests.support.hurried")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def two_workers(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two workers."""
    env = environment_for(database_url, WEB_CONCURRENCY="2")
    with serving(env, tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def hurried_service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with frequent heartbeats and short-lived streams (`tests/support/hurried.py`)."""
    env = environment_for(database_url, PYTHONPATH=str(ROOT))
    with serving(env, tmp_path_factory.mktemp("hurried"), under=HURRIED) as service:
        yield service


async def test_a_change_in_any_worker_reaches_every_stream_of_its_person_and_no_stream_of_another(
    two_workers: Service, client: httpx.AsyncClient
) -> None:
    ann, bob = two_workers.headers(someone("ann")), two_workers.headers(someone("bob"))
    async with AsyncExitStack() as stack:

        async def open_streams(headers: dict[str, str], number: int) -> list[EventReader]:
            return [
                await stack.enter_async_context(event_stream(client, two_workers.url, headers))
                for _ in range(number)
            ]

        anns, (bobs,) = await open_streams(ann, PERSON_MAX), await open_streams(bob, 1)
        for number in range(6):  # each over a connection of its own, so that both workers write
            async with httpx.AsyncClient() as another:
                await create(another, two_workers, ann, f"task {number}")
        for stream in anns:
            await stream.until(lambda: len(stream.tasks) == 6)  # noqa: B023 - called at once
        await create(client, two_workers, bob, "bob's")
        await bobs.until_title("bob's")

    assert {stream.named("ready")[0].data["reach"] for stream in anns} == {"machine"}
    assert [task["title"] for task in bobs.tasks.values()] == ["bob's"]


async def test_a_client_that_connects_again_gets_the_missed_changes_once(
    service: Service, client: httpx.AsyncClient
) -> None:
    ann = service.headers(someone("ann"))
    async with event_stream(client, service.url, ann) as stream:
        await create(client, service, ann, "seen")
        await stream.until_title("seen")
    await create(client, service, ann, "missed")

    headers = {"last-event-id": stream.last_id}
    async with event_stream(client, service.url, ann, since="now", **headers) as again:
        await again.until_title("missed")
        await create(client, service, ann, "new")
        await again.until_title("new")

    assert [task["title"] for task in again.tasks.values()] == ["missed", "new"]
    assert again.named("ready")[0].id == stream.last_id


async def test_an_event_is_one_line_even_for_clients_that_end_lines_at_other_characters(
    service: Service, client: httpx.AsyncClient
) -> None:
    ann, title = service.headers(someone("ann")), "next\x85line\u2028and\u2029paragraph"
    async with event_stream(client, service.url, ann) as stream:  # it reads lines as `str.splitlines` does
        await create(client, service, ann, title)
        await stream.until_title(title)


async def test_a_stream_reads_four_times_a_second_at_most(
    service: Service, client: httpx.AsyncClient
) -> None:
    ann = service.headers(someone("ann"))
    async with event_stream(client, service.url, ann) as stream:
        await stream.until_event("ready")
        began = time.monotonic()
        for number in range(20):
            await create(client, service, ann, f"task {number}")
            await asyncio.sleep(0.02)
        await stream.until(lambda: len(stream.tasks) == 20)
        took = time.monotonic() - began

    assert len(stream.named("changes")) <= 1 + took * 4


async def test_the_ninth_stream_of_a_person_is_refused_until_one_of_the_eight_is_closed(
    service: Service, client: httpx.AsyncClient
) -> None:
    ann = service.headers(someone("ann"))
    events = f"{service.url}/api/me/tasks/events?since=now"
    async with AsyncExitStack() as stack:
        for _ in range(PERSON_MAX - 1):
            await stack.enter_async_context(event_stream(client, service.url, ann))
        async with event_stream(client, service.url, ann):
            ninth = await client.get(events, headers=ann)
            head = await client.head(events, headers=ann)
            async with event_stream(client, service.url, service.headers(someone("bob"))):
                pass
        async with asyncio.timeout(20):
            while True:  # the service may learn a moment later that the eighth is closed
                async with client.stream("GET", events, headers=ann) as response:
                    if response.status_code == 200:
                        break
                await asyncio.sleep(0.05)

    assert (ninth.status_code, ninth.json()["type"]) == (429, "/problems/too-many-streams")
    assert ninth.headers["retry-after"] == "60"  # not 1: eight open streams seldom end within a second
    assert (head.status_code, head.content) == (200, b"")


async def test_a_stream_sends_heartbeats_and_ends_after_its_lifetime(
    hurried_service: Service, client: httpx.AsyncClient
) -> None:
    ann = hurried_service.headers(someone("ann"))
    async with event_stream(client, hurried_service.url, ann) as stream:
        bye = await stream.until_event("bye")
        await stream.until(lambda: stream.ended)

    assert bye.data == {"reason": "too-long"}
    assert bye.retry is not None
    assert stream.heartbeats >= 3


async def test_in_a_full_process_somebodys_first_stream_opens_and_the_youngest_of_eight_ends(
    database_url: str, tmp_path: Path, client: httpx.AsyncClient
) -> None:
    env = environment_for(database_url, PYTHONPATH=str(ROOT), STREAMS=str(PERSON_MAX), LIFETIME="900")
    with serving(env, tmp_path, under=HURRIED) as service:
        ann = service.headers(someone("ann"))
        async with AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(event_stream(client, service.url, ann))
                for _ in range(PERSON_MAX)
            ]
            await streams[-1].until_event("ready")

            bobs = service.headers(someone("bob"))
            bob = await stack.enter_async_context(event_stream(client, service.url, bobs))
            await bob.until_event("ready")
            bye = await streams[-1].until_event("bye")
            await streams[-1].until(lambda: streams[-1].ended)
            events = f"{service.url}/api/me/tasks/events"
            again = await client.get(events, params={"since": "now"}, headers=ann)

    assert bye.data == {"reason": "too-busy"}
    assert bye.retry is not None
    assert (again.status_code, again.json()["type"]) == (503, "/problems/too-busy")


async def test_httpx_sse_reads_no_empty_event_from_a_heartbeat(
    hurried_service: Service, client: httpx.AsyncClient
) -> None:
    ann = hurried_service.headers(someone("ann"))
    events = f"{hurried_service.url}/api/me/tasks/events"
    async with aconnect_sse(client, "GET", events, params={"since": "now"}, headers=dict(ann)) as source:
        await create(client, hurried_service, ann, "before the heartbeats")

        read = [event async for event in source.aiter_sse()]  # until the stream ends, after three heartbeats

    assert [event.event for event in read] == ["ready", "changes", "bye"]
    assert all(json.loads(event.data) for event in read)


async def test_no_change_is_sent_after_the_token_has_expired(
    hurried_service: Service, client: httpx.AsyncClient
) -> None:
    ann = someone("ann")
    short = issue_token(TRUST, user_id=ann, lifetime=2 - LEEWAY)  # accepted for two more seconds
    async with event_stream(client, hurried_service.url, {"authorization": f"Bearer {short}"}) as stream:
        await stream.until_event("ready")
        await asyncio.sleep(2.1)
        await create(client, hurried_service, hurried_service.headers(ann), "too late")
        bye = await stream.until_event("bye")
        await stream.until(lambda: stream.ended)

    assert bye.data == {"reason": "token-expired"}
    assert stream.named("changes") == []


async def test_the_service_stops_reading_the_endless_body_of_a_request_for_a_stream(
    service: Service,
) -> None:
    head = f"GET /api/me/tasks/events?since=now HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nAuthorization: {service.headers(someone('ann'))['authorization']}\r\n\r\n"
    chunk_size = 65_536  # bytes
    chunk = b"%x\r\n%b\r\n" % (chunk_size, b"x" * chunk_size)
    address = urlsplit(service.url)

    def send() -> int:
        sent = 0
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(head.encode())
            with suppress(OSError):
                while sent < 1_000 * len(chunk):
                    connection.sendall(chunk)
                    sent += len(chunk)
        return sent

    assert await asyncio.to_thread(send) < 500 * chunk_size


async def test_no_change_is_sent_for_a_token_whose_key_was_removed_from_the_key_set(
    database_url: str, tmp_path: Path, client: httpx.AsyncClient
) -> None:
    old, new, issuer, ann = SigningKey("old"), SigningKey("new"), "https://issuer.example.com", someone("ann")
    claims = {
        "sub": ann,
        "iss": issuer,
        "aud": issuer,
        "iat": int(time.time()),
        "exp": int(time.time()) + 900,
    }
    before, after = ({"authorization": f"Bearer {key.sign(claims)}"} for key in (old, new))
    async with jwks_server(old.public) as server:
        env = {"JWKS_URL": server.url, "JWT_ISSUER": issuer, "JWT_AUDIENCE": issuer}
        with serving({"DATABASE_URL": database_url, "LOG_FORMAT": "json", **env}, tmp_path) as service:
            async with event_stream(client, service.url, before) as stream:
                await stream.until_event("ready")
                server.keys = [new.public]
                await create(client, service, after, "too late")
                bye = await stream.until_event("bye")
                await stream.until(lambda: stream.ended)

    assert bye.data == {"reason": "token-expired"}
    assert stream.named("changes") == []


MEGABYTE = [{"op": "create", "title": f"task {number}", "description": "x" * 9_000} for number in range(100)]
LARGEST = [{"op": "create", "title": "largest", "description": "\U0001f600" * 9_900}] * 3  # 40 KB each
SMALL = [{"op": "create", "title": "small"}] * 300


async def test_missed_changes_are_sent_in_events_of_at_most_64_kb(
    service: Service, client: httpx.AsyncClient
) -> None:
    ann, before = await make_person_who_missed(service, client, [*LARGEST, *MEGABYTE, *SMALL])
    count = len(LARGEST) + len(MEGABYTE) + len(SMALL)
    async with event_stream(client, service.url, ann, since=before) as stream:
        await stream.until(lambda: len(stream.tasks) == count)
    pages = [event.data["changes"] for event in stream.named("changes")]

    assert sum(map(len, pages)) == count, "each came once"
    assert max(len(compact_json(page)) for page in pages) <= 64 * 1024
    assert len(pages) < 25, "the pages are as full as they may be"


@pytest.mark.quiet
async def test_given_200_clients_that_missed_a_megabyte_and_do_not_read_it_then_memory_grows_by_less_than_70_mb(
    database_url: str, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    with serving(environment_for(database_url), tmp_path) as service, ExitStack() as stack:
        people = [await make_person_who_missed(service, client, MEGABYTE) for _ in range(200 // PERSON_MAX)]
        before = memory(service)
        for ann, since in people:
            for _ in range(PERSON_MAX):
                stack.enter_context(open_unread_stream(service, ann, since))
        await wait_until_async(lambda: service.log.read_text().count("its client does not read") == 200)

        assert memory(service) - before < 70, "MB"


def compact_json(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


async def make_person_who_missed(
    service: Service, client: httpx.AsyncClient, operations: list[dict[str, str]]
) -> tuple[dict[str, str], str]:
    """Make a person with some changes. Return their headers, and a change token from before the changes."""
    headers = service.headers(someone("ann"))
    tasks = f"{service.url}/api/me/tasks"
    before: str = (await client.get(f"{tasks}/changes", headers=headers)).json()["next"]
    for begin in range(0, len(operations), 100):  # a batch has at most 100 operations
        body = {"operations": operations[begin : begin + 100]}
        (await client.post(f"{tasks}/batch", headers=headers, json=body)).raise_for_status()
    return headers, before


async def test_given_clients_that_do_not_read_then_their_streams_end_and_memory_grows_by_less_than_40_mb(
    hurried_service: Service, client: httpx.AsyncClient
) -> None:
    ann, bob = (hurried_service.headers(someone(name)) for name in ("ann", "bob"))
    before = memory(hurried_service)
    with ExitStack() as stack:
        for _ in range(PERSON_MAX):
            stack.enter_context(open_unread_stream(hurried_service, ann))
        batch = f"{hurried_service.url}/api/me/tasks/batch"
        assert (await client.post(batch, headers=ann, json={"operations": MEGABYTE})).status_code == 200
        await wait_until_async(
            lambda: hurried_service.log.read_text().count("its client does not read") == PERSON_MAX
        )
        during = memory(hurried_service)
        async with event_stream(client, hurried_service.url, bob) as stream:
            await create(client, hurried_service, bob, "meanwhile")
            await stream.until_title("meanwhile")

    assert during - before < 40, "MB"


def open_unread_stream(service: Service, headers: dict[str, str], since: str = "now") -> socket.socket:
    """Open a stream and read nothing of it."""
    address = urlsplit(service.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((address.hostname, address.port))
    head = f"GET /api/me/tasks/events?since={since} HTTP/1.1\r\nHost: x\r\nAuthorization: {headers['authorization']}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def ended_streams(service: Service) -> int:
    """Return how many streams have ended. The log has a line for each."""
    return service.log.read_text().count("tasks/events")


async def test_given_200_disconnected_clients_then_their_streams_end_and_their_descriptors_are_free(
    service: Service, client: httpx.AsyncClient
) -> None:
    people = [service.headers(someone()) for _ in range(25)]
    await client.get(f"{service.url}/api/me/tasks", headers=people[0])
    before, ended = descriptors(service), ended_streams(service)

    with ExitStack() as stack:
        for headers in people * PERSON_MAX:
            stack.enter_context(open_unread_stream(service, headers))
        # Not `before + 200`: some of the connections that `before` counts may be closing.
        await wait_until_async(lambda: descriptors(service) >= 200)

    await wait_until_async(lambda: ended_streams(service) >= ended + 200)
    # Connections to the database stay open.
    await wait_until_async(lambda: descriptors(service) <= before + POOL_SIZE)


@pytest.mark.quiet  # it measures how long the end takes
async def test_given_sigterm_with_200_streams_then_each_gets_bye_and_the_service_ends_within_two_seconds(
    database_url: str, tmp_path: Path, client: httpx.AsyncClient
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        people = [service.headers(someone()) for _ in range(25)]
        async with AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(event_stream(client, service.url, headers))
                for headers in people * PERSON_MAX
            ]
            for stream in streams:
                await stream.until_event("ready")

            service.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            await asyncio.to_thread(service.process.wait, 20)
            took = time.monotonic() - began
            for stream in streams:
                await stream.until(lambda: stream.ended)  # noqa: B023 - called at once

    byes = [stream.named("bye")[0] for stream in streams]
    retries = {bye.retry for bye in byes}
    assert {bye.data["reason"] for bye in byes} == {"leaving"}
    assert service.process.returncode == 0
    assert len(retries) > 100  # so the clients do not all connect again at the same moment
    assert took < 2


async def test_given_sigterm_for_a_worker_alone_then_its_streams_get_bye_and_it_is_replaced(
    database_url: str, tmp_path: Path, client: httpx.AsyncClient
) -> None:
    with serving(environment_for(database_url), tmp_path) as service:
        (worker,) = psutil.Process(service.process.pid).children()
        async with event_stream(client, service.url, service.headers(someone())) as stream:
            await stream.until_event("ready")

            worker.terminate()
            await stream.until(lambda: stream.ended)
            await wait_until_async(
                lambda: psutil.Process(service.process.pid).children() not in ([], [worker])
            )

    assert [bye.data["reason"] for bye in stream.named("bye")] == ["leaving"]


async def test_idle_streams_and_their_reconnects_send_no_statement_to_the_database(
    database_url: str, tmp_path: Path, client: httpx.AsyncClient
) -> None:
    with (
        tcp_proxy(database_url) as proxy,
        serving(environment_for(proxy.url, PYTHONPATH=str(ROOT)), tmp_path, under=HURRIED) as service,
    ):
        people = [service.headers(someone()) for _ in range(20)]
        ids = []
        for headers in people:
            await create(client, service, headers, "one")
            async with event_stream(client, service.url, headers) as stream:
                ids.append((await stream.until_event("ready")).id)
        sent_before = len(proxy.sent)
        for _ in range(2):
            async with AsyncExitStack() as stack:
                streams = [
                    await stack.enter_async_context(event_stream(client, service.url, headers, since=token))
                    for headers, token in zip(people, ids, strict=True)
                ]
                for stream in streams:
                    await stream.until(lambda: stream.heartbeats >= 2)  # noqa: B023 - called at once

        assert proxy.sent[sent_before:] == []
