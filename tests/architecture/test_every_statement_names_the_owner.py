"""Every statement that reaches the driver has a top-level condition on the owner, bound to the user id."""

import asyncio
import importlib
import pkgutil
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from asyncpg.connection import LoggedQuery
from sqlalchemy import literal

import app.infra.statements
from app.domain.commands import Change, Move, Restore, Trash
from app.domain.errors import TaskNotFound, TooManyKeys, TooManyTasks
from app.domain.idempotency import AlreadyDone, StorageQuota
from app.domain.position import Position
from app.domain.summary import Day
from app.domain.task import TaskChanges
from app.domain.task_list import Bookmark
from app.infra.postgres.database import Database
from app.infra.statements.lists import CONDITIONS, Shape, page_of
from app.infra.statements.owner_scope import Statement, compile_sql, insert_own
from app.infra.statements.tasks import TASK_ID, TASKS
from app.infra.tables import ORDERS, OwnedRow
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from tests.support.factories import MANY, NOON, TaskFactory, later, someone
from tests.support.keyed import keyed

pytestmark = pytest.mark.server

OWNED = re.compile(rf"\bown_\w+|\b({'|'.join(OwnedRow.metadata.tables)})\b")
BEGINNING = re.compile(r"\((?=SELECT |INSERT |UPDATE |DELETE )")


def parts_of(sql: str) -> list[str]:
    """Split a statement into itself and every statement within its parentheses, each without those inside it."""
    parts, flat = [], " ".join(sql.split())
    while beginnings := list(BEGINNING.finditer(flat)):
        start = beginnings[-1].start()  # the last statement contains no other
        depth, end = 0, start
        for end in range(start, len(flat)):
            depth += {"(": 1, ")": -1}.get(flat[end], 0)
            if depth == 0:
                break
        parts.append(flat[start + 1 : end])
        flat = f"{flat[:start]}…{flat[end + 1 :]}"
    return [*parts, re.sub(r"^WITH (\w+ AS …,? )+", "", flat)]


def owner_parameters(part: str) -> set[int]:
    """Return the numbers of the parameters to which the owner is bound at the top level of a statement's part.

    For INSERT: what is written to `user_id`. Else: conjuncts `user_id = $n` outside every parenthesis.
    """
    if part.startswith("INSERT"):
        written = re.search(r"\(user_id, .*?\) SELECT \$(\d+)::\w+ AS user_id", part)
        return {int(written[1])} if written else set()
    flat, inner = "", re.compile(r"\([^()]*\)")
    while flat != part:  # removes the parentheses, the innermost first
        flat, part = part, inner.sub("", part)
    where = re.split(r" ORDER BY | RETURNING | LIMIT | FOR UPDATE(?: OF \w+)?$", flat.partition("WHERE")[2])[
        0
    ]
    conjuncts = [one.strip() for one in where.split(" AND ")] if " OR " not in where else []
    found = (re.fullmatch(r"(?:own_\w+\.)?user_id = \$(\d+)(?:::\w+)?", one) for one in conjuncts)
    return {int(match[1]) for match in found if match}


def parts_without(owner: str, query: LoggedQuery) -> list[str]:
    """Return the parts of a statement that touch owned rows and are not limited to this owner."""
    touching = [part for part in parts_of(query.query) if OWNED.search(part)]
    assert touching, query.query
    return [part for part in touching if {query.args[n - 1] for n in owner_parameters(part)} != {owner}]


def statements() -> dict[str, Statement]:
    """Return the statements that are compiled at import, so none that is made for a shape or for columns."""
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.iter_modules(app.infra.statements.__path__, "app.infra.statements.")
    ]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Statement)
    }


def test_no_value_replaces_the_owner_of_an_inserted_row() -> None:
    statement = compile_sql(insert_own(TASKS, {"user_id": literal("somebody else"), "id": TASK_ID}))

    (owner,) = owner_parameters(" ".join(statement.sql.split()))
    assert statement.names[owner - 1] == "owner"


@pytest.fixture
async def listened(database_url: str) -> AsyncIterator[tuple[Database, list[LoggedQuery]]]:
    """A database with one connection, and the statements sent on it."""
    database = Database(DatabaseAddress.parse(database_url), pool_size=1)
    await database.open()
    await database.trouble()
    heard: list[LoggedQuery] = []
    connection = await database._checkout.acquire(database.deadline())
    connection.add_query_logger(heard.append)
    database._checkout.release(connection)
    yield database, heard
    await database.close()


async def test_every_statement_names_the_owner(listened: tuple[Database, list[LoggedQuery]]) -> None:
    database, heard = listened
    ann, task = someone(), TaskFactory.build()
    mine = NeonTaskRepository(database, owner=ann)

    await mine.add(task, at_most=MANY)
    await mine.show(task.id)
    await mine.page(1, after=None)
    await mine.page(1, after=Bookmark(task.id))
    await mine.revision()
    await mine.summary(Day.at(NOON, ZoneInfo("UTC")))
    await mine.change(task.id, TaskChanges(title="x", description=None, completed=True), at=later(1))
    await mine.toggle(task.id, at=later(2))
    for if_match in (None, frozenset(range(1, 99))):
        await mine.change(task.id, TaskChanges(completed=if_match is None), at=later(2), if_match=if_match)
        await mine.trash(task.id, at=later(3), if_match=if_match)
        await mine.restore(task.id, at=later(3), if_match=if_match)
    others = [TaskFactory.build(position=Position(p)) for p in "AAB"]
    for other in others:
        await mine.add(other, at_most=MANY)
    last = sorted(others, key=lambda other: (other.position, other.id))[1].id
    await mine.move(Move(task.id, last, before=False), at=later(3))
    await mine.move(Move(task.id, last, before=True), at=later(3))  # between two equal positions
    new = TaskFactory.build()
    await mine.apply([new, Change(task.id, TaskChanges(title="y"))], at=later(4), at_most=MANY)
    await mine.apply([Trash(new.id), Change(task.id, TaskChanges(title="y"))], at=later(4), at_most=MANY)
    await mine.apply([Restore(new.id)], at=later(4), at_most=MANY)
    await mine.purge(task.id)
    with suppress(TaskNotFound):
        await mine.show(task.id)
    await keyed(database, ann, "one").add(new := TaskFactory.build(), at_most=MANY)
    with suppress(AlreadyDone):
        await keyed(database, ann, "one").add(new, at_most=MANY)
    with suppress(TooManyTasks):
        await keyed(database, ann).add(TaskFactory.build(), at_most=1)
    for if_match in (None, frozenset(range(1, 99))):
        await keyed(database, ann).toggle(new.id, at=later(5), if_match=if_match)
        await keyed(database, ann).change(new.id, TaskChanges(title="z"), at=later(6), if_match=if_match)
    await keyed(database, ann, "one", at=later(2 * 24 * 60)).toggle(new.id, at=NOON)
    with suppress(TooManyKeys):
        await keyed(database, ann, at=later(1), quota=StorageQuota(responses=1)).toggle(new.id, at=NOON)
    await keyed(database, ann).apply([Trash(new.id)], at=NOON, at_most=MANY)

    await asyncio.sleep(0)  # the driver calls its listeners one turn of the event loop later
    about_tasks = [query for query in heard if OWNED.search(query.query)]
    assert len(about_tasks) >= 46  # as many as the calls above send at least
    assert [part for query in about_tasks for part in parts_without(ann, query)] == []


@pytest.mark.parametrize("name", statements())
def test_each_compiled_statement_names_the_owner(name: str) -> None:
    statement = statements()[name]
    owner = statement.names.index("owner") + 1

    touching = [part for part in parts_of(statement.sql) if OWNED.search(part)]

    assert [part for part in touching if owner_parameters(part) != {owner}] == []


def test_every_table_has_a_statement_that_was_checked() -> None:
    sql = " ".join(statement.sql for statement in statements().values())

    assert [table for table in OwnedRow.metadata.tables if f"own_{table}" not in sql] == []


def test_a_list_of_any_shape_names_the_owner() -> None:
    choices = product(ORDERS, (False, True), (False, True), ((), tuple(CONDITIONS)), (0, 2), (False, True))
    for order, trashed, after, conditions, words, undated in choices:
        shape = Shape(
            order=order,
            trashed=trashed,
            after=after,
            conditions=conditions,
            words=words,
            verbatim=not words,
            undated=undated and order == "due",
        )
        statement = page_of(shape)
        owner = statement.names.index("owner") + 1

        touching = [part for part in parts_of(statement.sql) if OWNED.search(part)]

        assert len(touching) >= 2  # tasks, and the owner's revision
        assert [part for part in touching if owner_parameters(part) != {owner}] == [], shape


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM own_tasks WHERE user_id IS NOT NULL",
        "SELECT * FROM own_tasks WHERE user_id = $1 OR id = $2",
        "SELECT * FROM own_tasks WHERE (user_id = $1 OR true)",
        "SELECT * FROM own_tasks WHERE id = $1 ORDER BY user_id = $2",
        "DELETE FROM own_tasks WHERE id = $1 RETURNING user_id = $2",
        "INSERT INTO own_tasks (id, user_id) SELECT $1::UUID AS id, 'bob' AS user_id",
        "WITH x AS (DELETE FROM own_tasks WHERE id = $2) SELECT * FROM own_tasks WHERE user_id = $1",
        "UPDATE own_tasks SET title = (SELECT title FROM own_tasks WHERE id = $2 LIMIT 1) WHERE user_id = $1",
        "SELECT * FROM own_tasks WHERE user_id = $1 AND EXISTS (SELECT * FROM own_task_owners)",
    ],
)
def test_a_statement_without_the_owner_is_detected(sql: str) -> None:
    assert any(OWNED.search(part) and not owner_parameters(part) for part in parts_of(sql))
