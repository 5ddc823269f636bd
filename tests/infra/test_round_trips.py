"""The number of round trips to the database of each operation. OPERATIONS has the numbers.

A round trip begins when the client sends after the server has answered. Each operation is measured warm: the connection
is open, and has prepared the statement before.

This fault, put into the code on purpose, made a test fail: one more statement in the read of a task.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest

from app.composition import compose
from app.infra.postgres import row_security_watch
from app.infra.postgres.connector import Connector
from app.settings import Settings
from app.settings.database_address import DatabaseAddress
from tests.conftest import environment_for
from tests.support.factories import NOON, a_task_id
from tests.support.in_process import client_of
from tests.support.people import People, Person
from tests.support.servers.pgbouncer import KEEPS_STATEMENTS, newer, pgbouncer
from tests.support.servers.postgres_proxy import TcpProxy, tcp_proxy

pytestmark = pytest.mark.server

OPENAPI = Path(__file__).parent.parent.parent / "docs" / "openapi.json"


@dataclass
class Given:
    """A person with three tasks and one in the trash, and a key that is new."""

    ann: Person
    ids: list[str]  # of the tasks
    trashed: str
    key: dict[str, str] = field(default_factory=lambda: {"idempotency-key": f'"{uuid4()}"'})

    @classmethod
    async def create(cls, ann: Person) -> "Given":
        creates = [{"op": "create", "title": title, "tags": ["x"]} for title in "abcd"]
        created = (await ann.ask("POST", "batch", json={"operations": creates})).json()["results"]
        *ids, trashed = [result["task"]["id"] for result in created]
        await ann.ask("DELETE", trashed)
        return cls(ann, ids, trashed)


Send = Callable[[Given], Awaitable[httpx.Response]]


class Case(NamedTuple):
    """A request, and its expected round trips and status."""

    round_trips: int
    send: Send
    status: int = 200
    before: Send | None = None  # a request that is not counted


NEW = {"title": "water the plants"}
OLD_VERSION = {"if-match": '"9"'}
CURRENT = {"if-match": '"1"'}
ABSENT_ID = str(a_task_id())


def send(method: str, path: str = "", **arguments: Any) -> Send:
    """Return a function that sends a request; `{0}` in its path is the first task, `{trashed}` the one in the trash."""
    return lambda given: given.ann.ask(method, path.format(*given.ids, trashed=given.trashed), **arguments)


def send_with_key(method: str, path: str = "", **arguments: Any) -> Send:
    """Return a function that sends a request with the key."""
    return lambda given: given.ann.ask(method, path.format(*given.ids), headers=given.key, **arguments)


def move(given: Given) -> Awaitable[httpx.Response]:
    return given.ann.ask("POST", f"{given.ids[0]}/move", json={"after": given.ids[2]})


def batch(given: Given, key: dict[str, str] | None = None) -> Awaitable[httpx.Response]:
    operations = [
        {"op": "create", **NEW},
        {"op": "complete", "id": given.ids[0]},
        {"op": "delete", "id": given.ids[1]},
    ]
    return given.ann.ask("POST", "batch", json={"operations": operations}, headers=key or {})


def batch_with_key(given: Given) -> Awaitable[httpx.Response]:
    return batch(given, given.key)


def bad_batch(given: Given, key: dict[str, str] | None = None) -> Awaitable[httpx.Response]:
    operations = [{"op": "delete", "id": given.ids[0]}, {"op": "complete", "id": ABSENT_ID}]
    return given.ann.ask("POST", "batch", json={"operations": operations}, headers=key or {})


def bad_batch_with_key(given: Given) -> Awaitable[httpx.Response]:
    return bad_batch(given, given.key)


async def next_page(given: Given) -> httpx.Response:
    link = (await given.ann.ask("GET", "?limit=2")).links["next"]["url"]
    return await given.ann.ask("GET", link)


async def list_unchanged(given: Given) -> httpx.Response:
    etag = (await given.ann.ask("GET")).headers["etag"]
    return await given.ann.ask("GET", headers={"if-none-match": etag})


async def changes_of_nothing(given: Given) -> httpx.Response:
    token = (await given.ann.ask("GET", "changes")).json()["next"]
    return await given.ann.ask("GET", f"changes?since={token}")


async def changes_of_a_write(given: Given) -> httpx.Response:
    token = (await given.ann.ask("GET", "changes")).json()["next"]
    await given.ann.ask("PATCH", f"{given.ids[0]}/complete")
    return await given.ann.ask("GET", f"changes?since={token}")


CREATE = send_with_key("POST", json=NEW)
TOGGLE = send_with_key("PATCH", "{0}/complete")
OPERATIONS = {
    "ready": Case(0, send("GET", "/health/ready")),
    "health": Case(0, send("GET", "/health")),
    "listTasks": Case(1, send("GET")),
    "listTasks, filtered": Case(1, send("GET", "?completed=false&sort=title")),
    "listTasks, searched": Case(1, send("GET", "?q=a")),
    "listTasks, of a tag": Case(1, send("GET", "?tag=x")),
    "listTasks, the trash": Case(1, send("GET", "?trashed=true")),
    "listTasks, a page and the next": Case(1 + 1, next_page),
    "listTasks, and again unchanged": Case(1 + 1, list_unchanged, 304),
    "listChanges": Case(1, send("GET", "changes")),
    "listChanges, and again with nothing new": Case(1 + 1, changes_of_nothing),
    "listChanges, and again after a write": Case(1 + 1 + 2, changes_of_a_write),
    "streamEvents, the headers": Case(0, send("HEAD", "events?since=now")),
    "summarizeTasks": Case(1, send("GET", "summary")),
    "getTask": Case(1, send("GET", "{0}")),
    "getTask, an absent task": Case(1, send("GET", ABSENT_ID), 404),
    "createTask": Case(1, send("POST", json=NEW), 201),
    "createTask, with a key": Case(1, CREATE, 201),
    "createTask, again with its key": Case(1, CREATE, 201, CREATE),
    "createTask, another with its key": Case(1, send_with_key("POST", json={"title": "x"}), 422, CREATE),
    "completeTask": Case(1, send("PATCH", "{0}/complete")),
    "completeTask, to a state": Case(1, send("PATCH", "{0}/complete", json={"completed": True})),
    "completeTask, with a key": Case(1, TOGGLE),
    "completeTask, again with its key": Case(1, TOGGLE, 200, TOGGLE),
    "completeTask, an old version": Case(2, send("PATCH", "{0}/complete", headers=OLD_VERSION), 412),
    "completeTask, an absent task": Case(2, send("PATCH", f"{ABSENT_ID}/complete"), 404),
    "patchTask": Case(1, send("PATCH", "{0}", json={"priority": "high"})),
    "patchTask, current": Case(1, send("PATCH", "{0}", json={"title": "x"}, headers=CURRENT)),
    "patchTask, an old version": Case(2, send("PATCH", "{0}", json={"title": "x"}, headers=OLD_VERSION), 412),
    "patchTask, an absent task": Case(2, send("PATCH", ABSENT_ID, json={"title": "x"}), 404),
    "updateTask": Case(1, send("PUT", "{0}", json=NEW)),
    "updateTask, an old version": Case(2, send("PUT", "{0}", json=NEW, headers=OLD_VERSION), 412),
    "deleteTask": Case(1, send("DELETE", "{0}"), 204),
    "deleteTask, an old version": Case(2, send("DELETE", "{0}", headers=OLD_VERSION), 412),
    "deleteTask, an absent task": Case(2, send("DELETE", ABSENT_ID), 404),
    "deleteTask, permanently": Case(1, send("DELETE", "{0}?permanent=true"), 204),
    "deleteTask, permanently, an old version": Case(
        2, send("DELETE", "{0}?permanent=true", headers=OLD_VERSION), 412
    ),
    "restoreTask": Case(1, send("POST", "{trashed}/restore")),
    "restoreTask, that is not in the trash": Case(2, send("POST", "{0}/restore"), 409),
    "moveTask": Case(2, move),
    "moveTask, beside an absent task": Case(1, send("POST", "{0}/move", json={"after": ABSENT_ID}), 400),
    "batchTasks, of three kinds": Case(1, batch),
    "batchTasks, with a key": Case(1, batch_with_key),
    "batchTasks, again with its key": Case(1, batch_with_key, 200, batch_with_key),
    "batchTasks, with an absent task": Case(2, bad_batch, 404),
    "batchTasks, with a key and an absent task": Case(2, bad_batch_with_key, 404),
}


@pytest.fixture(scope="module", params=["PostgreSQL", "a pooler that keeps statements"])
async def proxy(
    request: pytest.FixtureRequest, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TcpProxy]:
    """A proxy in front of PostgreSQL or the pooler, which counts round trips."""
    if request.param == "PostgreSQL":
        with tcp_proxy(database_url) as proxy:
            yield proxy
        return
    folder = tmp_path_factory.mktemp("pgbouncer")
    with (
        pgbouncer(database_url, folder, program=newer(), settings=KEEPS_STATEMENTS) as pooler_url,
        tcp_proxy(f"{pooler_url}?pgbouncer=true") as proxy,
    ):
        yield proxy


@pytest.fixture(scope="module")
async def people(proxy: TcpProxy) -> AsyncIterator[People]:
    """Makes people who use an application that connects through the proxy."""
    with pytest.MonkeyPatch.context() as patch:
        # Otherwise a slow run would count the round trips of a check.
        patch.setattr(row_security_watch, "CHECK_EVERY", 3600.0)
        settings = Settings.from_env(environment_for(proxy.url))
        app = compose(settings, clock=lambda: NOON)  # fixed, so that no result depends on today
        async with client_of(app) as client:
            yield People(client)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_each_operation_takes_its_expected_number_of_round_trips(
    people: People, proxy: TcpProxy, name: str
) -> None:
    case, round_trips = OPERATIONS[name], 0

    for _ in ("cold", "warm"):
        given = await Given.create(people.one())
        if case.before is not None:
            await case.before(given)
        begun = len(proxy.round_trips)
        response = await case.send(given)
        round_trips = len(proxy.round_trips) - begun
        assert response.status_code == case.status, response.text

    assert round_trips == case.round_trips  # of the warm run


def test_every_operation_of_the_api_has_an_expected_number_of_round_trips() -> None:
    paths = json.loads(OPENAPI.read_text())["paths"].values()
    operations = {operation["operationId"] for path in paths for operation in path.values()}

    assert {name.partition(",")[0] for name in OPERATIONS} == operations


async def test_opening_a_connection_takes_no_round_trips_beyond_authentication(
    proxy: TcpProxy,
) -> None:
    """PostgreSQL's authentication (SCRAM) takes three round trips, that of this pooler (a plain password) two."""
    connector = Connector(DatabaseAddress.parse(proxy.url), statement_timeout=5)
    await (await connector.connect()).close()  # the first connection of a process also looks for a pooler
    begun = len(proxy.round_trips)

    connection = await connector.connect()

    opening = proxy.round_trips[begun:]
    await connection.close()
    assert len(opening) == (2 if connector.address.pooled else 3)
