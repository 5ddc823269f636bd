"""Each write is announced to the event streams of its person after its commit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.api.requests.batch_body import form_of
from app.domain.clock import utc_now
from app.domain.commands import Change, Move, Trash
from app.domain.errors import OutcomeUnknown
from app.domain.idempotency import IdempotentRequest, ResponseForm, StorageQuota
from app.domain.identity import UserId
from app.domain.task import NewTask, TaskChanges
from app.domain.task_service import TaskService
from app.domain.unit_of_work import UnitOfWork
from app.infra.postgres.database import Database
from app.infra.postgres.owner_session import PersonConcurrency
from app.infra.tasks import NeonUnitsOfWork
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer
from tests.support.factories import MANY, someone
from tests.support.servers.postgres_proxy import TcpProxy, tcp_proxy

pytestmark = pytest.mark.server

CREATED = ResponseForm(201, location="/")


@dataclass
class Ann:
    """A person whose writes are announced."""

    postgres: PostgresServer
    database: Database
    address: DatabaseAddress
    user_id: UserId = field(default_factory=someone)
    announced: list[int] = field(default_factory=list)  # the committed revision at each announcement

    def announce(self, owner: UserId) -> None:
        assert owner == self.user_id
        self.announced.append(self.revision())

    def revision(self) -> int:
        query = f"SELECT revision FROM task_owners WHERE user_id = '{self.user_id}'"
        return int(self.postgres.query(query, self.address.database) or 0)

    @property
    def unit_of_work(self) -> UnitOfWork:
        return NeonUnitsOfWork(
            database=self.database,
            concurrency=PersonConcurrency(4),
            clock=utc_now,
            max_tasks=MANY,
            storage_quota=StorageQuota(),
            trace=None,
            announce=self.announce,
        ).of(self.user_id)

    @property
    def tasks(self) -> TaskService:
        return self.unit_of_work.tasks

    def with_key(self, key: str, form: ResponseForm) -> TaskService:
        return self.unit_of_work.once(IdempotentRequest("route", key, key.encode()), form)


@pytest.fixture
def ann(postgres: PostgresServer, database: Database, database_url: str) -> Ann:
    return Ann(postgres, database, DatabaseAddress.parse(database_url))


async def test_each_kind_of_write_is_announced_after_its_commit(ann: Ann) -> None:
    one, _ = await ann.tasks.create(NewTask(title="one"))
    two, _ = await ann.tasks.create(NewTask(title="two"))
    trashed = [Trash(two)]
    writes: dict[str, Callable[[], Awaitable[object]]] = {
        "create": lambda: ann.tasks.create(NewTask(title="three")),
        "change": lambda: ann.tasks.change(one, TaskChanges(title="one, changed")),
        "toggle": lambda: ann.tasks.complete(one),
        "move": lambda: ann.tasks.move(Move(one, two, before=True)),
        "trash": lambda: ann.tasks.remove(one),
        "restore": lambda: ann.tasks.restore(one),
        "batch": lambda: ann.tasks.batch(
            [NewTask(title="four"), Change(two, TaskChanges(title="two, changed"))]
        ),
        "create with a key": lambda: ann.with_key("a", CREATED).create(NewTask(title="five")),
        "toggle with a key": lambda: ann.with_key("b", ResponseForm()).complete(two),
        "batch with a key": lambda: ann.with_key("c", form_of(trashed)).batch(trashed),
        "permanent delete": lambda: ann.tasks.remove(one, permanently=True),
    }
    announced = {}
    for name, write in writes.items():
        ann.announced.clear()
        await write()
        await asyncio.sleep(0)
        announced[name] = ann.announced[-1:] == [ann.revision()]

    assert announced == dict.fromkeys(writes, True)


async def test_reads_are_not_announced(ann: Ann) -> None:
    one, _ = await ann.tasks.create(NewTask(title="one"))
    await asyncio.sleep(0)
    ann.announced.clear()

    await ann.tasks.list()
    await ann.tasks.show(one)
    await ann.tasks.revision()
    await asyncio.sleep(0)

    assert ann.announced == []


@asynccontextmanager
async def unconfirmed_write(
    postgres: PostgresServer, database_url: str
) -> AsyncIterator[tuple[Ann, int, TcpProxy, asyncio.Task[Any]]]:
    """Begin a write whose COMMIT the proxy does not confirm.

    Yield the person, their revision before the write, the proxy, and the task that writes.
    """
    with tcp_proxy(database_url) as proxy:
        database = Database(DatabaseAddress.parse(proxy.url))
        await database.open()
        ann = Ann(postgres, database, DatabaseAddress.parse(database_url))
        await ann.tasks.create(NewTask(title="one"))
        await asyncio.sleep(0)
        before = ann.announced.pop()
        proxy.drop_confirmations.set()
        creating = asyncio.create_task(ann.with_key("a", CREATED).create(NewTask(title="two")))
        await asyncio.to_thread(proxy.confirmation_dropped.wait, 20)
        yield ann, before, proxy, creating
        await database.close()


async def test_a_write_whose_outcome_is_unknown_is_announced(
    postgres: PostgresServer, database_url: str
) -> None:
    async with unconfirmed_write(postgres, database_url) as (ann, before, proxy, creating):
        proxy.cut()
        with pytest.raises(OutcomeUnknown):
            await creating

    assert ann.announced == [ann.revision()] != [before]


async def test_a_write_whose_client_disconnected_is_announced(
    postgres: PostgresServer, database_url: str
) -> None:
    async with unconfirmed_write(postgres, database_url) as (ann, before, _, creating):
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating

    assert ann.announced == [ann.revision()] != [before]
