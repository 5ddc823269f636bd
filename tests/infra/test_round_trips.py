"""The number of round trips to the database of each operation. OPERATIONS has the numbers.

A round trip is a turn of direction on the wire: the client sends after the server has answered. All is warm: the
connection is open, and it has prepared the statement before.

A fault put in on purpose, and found: a statement more in the read of a task.
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
from tests.support.servers.postgres_proxy import Wire, wire_to

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
    async def made(cls, ann: Person) -> "Given":
        creates = [{"op": "create", "title": title, "tags": ["x"]} for title in "abcd"]
        created = (await ann.ask("POST", "batch", json={"operations": creates})).json()["results"]
        *ids, trashed = [result["task"]["id"] for result in created]
        await ann.ask("DELETE", trashed)
        return cls(ann, ids, trashed)


Send = Callable[[Given], Awaitable[httpx.Response]]


class Row(NamedTuple):
    """A request, and what it costs."""

    round_trips: int
    send: Send
    status: int = 200
    before: Send | None = None  # a request that is not counted


NEW = {"title": "water the plants"}
STALE = {"if-match": '"9"'}
CURRENT = {"if-match": '"1"'}
ABSENT_ID = str(a_task_id())


def send(method: str, path: str = "", **arguments: Any) -> Send:
    """Send a request; `{0}` in its path is the first task."""
    return lambda given: given.ann.ask(method, path.format(*given.ids, trashed=given.trashed), **arguments)


def send_keyed(method: str, path: str = "", **arguments: Any) -> Send:
    """Send a request under the key."""
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


def keyed_batch(given: Given) -> Awaitable[httpx.Response]:
    return batch(given, given.key)


def bad_batch(given: Given, key: dict[str, str] | None = None) -> Awaitable[httpx.Response]:
    operations = [{"op": "delete", "id": given.ids[0]}, {"op": "complete", "id": ABSENT_ID}]
    return given.ann.ask("POST", "batch", json={"operations": operations}, headers=key or {})


def bad_keyed_batch(given: Given) -> Awaitable[httpx.Response]:
    return bad_batch(given, given.key)


async def next_page(given: Given) -> httpx.Response:
    link = (await given.ann.ask("GET", "?limit=2")).links["next"]["url"]
    return await given.ann.ask("GET", link)


async def known(given: Given) -> httpx.Response:
    etag = (await given.ann.ask("GET")).headers["etag"]
    return await given.ann.ask("GET", headers={"if-none-match": etag})


async def changes_of_nothing(given: Given) -> httpx.Response:
    token = (await given.ann.ask("GET", "changes")).json()["next"]
    return await given.ann.ask("GET", f"changes?since={token}")


async def changes_of_a_write(given: Given) -> httpx.Response:
    token = (await given.ann.ask("GET", "changes")).json()["next"]
    await given.ann.ask("PATCH", f"{given.ids[0]}/complete")
    return await given.ann.ask("GET", f"changes?since={token}")


CREATE = send_keyed("POST", json=NEW)
TOGGLE = send_keyed("PATCH", "{0}/complete")
OPERATIONS = {
    "ready": Row(0, send("GET", "/health/ready")),
    "health": Row(0, send("GET", "/health")),
    "listTasks": Row(1, send("GET")),
    "listTasks, filtered": Row(1, send("GET", "?completed=false&sort=title")),
    "listTasks, searched": Row(1, send("GET", "?q=a")),
    "listTasks, of a tag": Row(1, send("GET", "?tag=x")),
    "listTasks, the trash": Row(1, send("GET", "?trashed=true")),
    "listTasks, a page and the next": Row(1 + 1, next_page),
    "listTasks, and again while it is known": Row(1 + 1, known, 304),
    "listChanges": Row(1, send("GET", "changes")),
    "listChanges, and again with nothing new": Row(1 + 1, changes_of_nothing),
    "listChanges, and again after a write": Row(1 + 1 + 2, changes_of_a_write),
    "streamEvents, the headers": Row(0, send("HEAD", "events?since=now")),
    "summarizeTasks": Row(1, send("GET", "summary")),
    "getTask": Row(1, send("GET", "{0}")),
    "getTask, that nobody has": Row(1, send("GET", ABSENT_ID), 404),
    "createTask": Row(1, send("POST", json=NEW), 201),
    "createTask, with a key": Row(1, CREATE, 201),
    "createTask, again with its key": Row(1, CREATE, 201, CREATE),
    "createTask, another with its key": Row(1, send_keyed("POST", json={"title": "x"}), 422, CREATE),
    "completeTask": Row(1, send("PATCH", "{0}/complete")),
    "completeTask, to a state": Row(1, send("PATCH", "{0}/complete", json={"completed": True})),
    "completeTask, with a key": Row(1, TOGGLE),
    "completeTask, again with its key": Row(1, TOGGLE, 200, TOGGLE),
    "completeTask, stale": Row(2, send("PATCH", "{0}/complete", headers=STALE), 412),
    "completeTask, that nobody has": Row(2, send("PATCH", f"{ABSENT_ID}/complete"), 404),
    "patchTask": Row(1, send("PATCH", "{0}", json={"priority": "high"})),
    "patchTask, current": Row(1, send("PATCH", "{0}", json={"title": "x"}, headers=CURRENT)),
    "patchTask, stale": Row(2, send("PATCH", "{0}", json={"title": "x"}, headers=STALE), 412),
    "patchTask, that nobody has": Row(2, send("PATCH", ABSENT_ID, json={"title": "x"}), 404),
    "updateTask": Row(1, send("PUT", "{0}", json=NEW)),
    "updateTask, stale": Row(2, send("PUT", "{0}", json=NEW, headers=STALE), 412),
    "deleteTask": Row(1, send("DELETE", "{0}"), 204),
    "deleteTask, stale": Row(2, send("DELETE", "{0}", headers=STALE), 412),
    "deleteTask, that nobody has": Row(2, send("DELETE", ABSENT_ID), 404),
    "deleteTask, permanently": Row(1, send("DELETE", "{0}?permanent=true"), 204),
    "deleteTask, permanently, stale": Row(2, send("DELETE", "{0}?permanent=true", headers=STALE), 412),
    "restoreTask": Row(1, send("POST", "{trashed}/restore")),
    "restoreTask, that is not in the trash": Row(2, send("POST", "{0}/restore"), 409),
    "moveTask": Row(2, move),
    "moveTask, beside nobody's": Row(1, send("POST", "{0}/move", json={"after": ABSENT_ID}), 400),
    "batchTasks, of three kinds": Row(1, batch),
    "batchTasks, with a key": Row(1, keyed_batch),
    "batchTasks, again with its key": Row(1, keyed_batch, 200, keyed_batch),
    "batchTasks, with a task that nobody has": Row(2, bad_batch, 404),
    "batchTasks, with a key and a task that nobody has": Row(2, bad_keyed_batch, 404),
}


@pytest.fixture(scope="module", params=["PostgreSQL", "a pooler that keeps statements"])
async def wire(
    request: pytest.FixtureRequest, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Wire]:
    """The wire between the application and what it connects to."""
    if request.param == "PostgreSQL":
        with wire_to(database_url) as wire:
            yield wire
        return
    folder = tmp_path_factory.mktemp("pgbouncer")
    with (
        pgbouncer(database_url, folder, program=newer(), settings=KEEPS_STATEMENTS) as through,
        wire_to(f"{through}?pgbouncer=true") as wire,
    ):
        yield wire


@pytest.fixture(scope="module")
async def people(wire: Wire) -> AsyncIterator[People]:
    """Everybody, at an application behind the wire."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            row_security_watch, "CHECK_EVERY", 3600.0
        )  # else a slow run would count the round trips of a check
        settings = Settings.from_env(environment_for(wire.url))
        app = compose(settings, clock=lambda: NOON)  # a Thursday, so that no count depends on today
        async with client_of(app) as client:
            yield People(client)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_each_operation_takes_its_expected_number_of_round_trips(
    people: People, wire: Wire, name: str
) -> None:
    row, round_trips = OPERATIONS[name], 0

    for _ in ("cold", "warm"):
        given = await Given.made(people.one())
        if row.before is not None:
            await row.before(given)
        begun = len(wire.turns)
        response = await row.send(given)
        round_trips = len(wire.turns) - begun
        assert response.status_code == row.status, response.text

    assert round_trips == row.round_trips  # of the warm run


def test_every_operation_of_the_api_has_an_expected_number_of_round_trips() -> None:
    paths = json.loads(OPENAPI.read_text())["paths"].values()
    operations = {operation["operationId"] for path in paths for operation in path.values()}

    assert {name.partition(",")[0] for name in OPERATIONS} == operations


async def test_opening_a_connection_takes_no_round_trips_beyond_authentication(
    wire: Wire,
) -> None:
    """PostgreSQL's SCRAM takes three. This pooler takes a plain password, which takes two."""
    connector = Connector(DatabaseAddress.parse(wire.url), statement_timeout=5)
    await (await connector.connect()).close()  # the first of a process checks what is at the other end
    begun = len(wire.turns)

    connection = await connector.connect()

    opening = wire.turns[begun:]
    await connection.close()
    assert len(opening) == (2 if connector.address.pooled else 3)
