"""In every statement that reaches the driver the owner stands as a top-level conjunct, bound to the principal."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from asyncpg.connection import LoggedQuery

from app.domain.errors import TaskNotFound
from app.domain.page import Position
from app.domain.task import TaskChanges
from app.infra.database import Database
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from tests.factories import TaskFactory, later, someone

pytestmark = pytest.mark.server

OWNED = re.compile(r"\b(own_)?tasks\b")


def owner_parameters(sql: str) -> set[int]:
    """Return the numbers of the parameters to which the owner is bound at the top level of a statement.

    For INSERT: what is written to `user_id`. Else: conjuncts `user_id = $n` outside every parenthesis.
    """
    if sql.startswith("INSERT"):
        written = re.search(r"\(user_id, .*?\) SELECT \$(\d+)::\w+ AS user_id", sql)
        return {int(written[1])} if written else set()
    flat, inner = "", re.compile(r"\([^()]*\)")
    while flat != sql:
        flat, sql = sql, inner.sub("", sql)
    where = re.split(r" ORDER BY | RETURNING ", flat.partition("WHERE")[2])[0]
    conjuncts = [part.strip() for part in where.split(" AND ")] if " OR " not in where else []
    found = (re.fullmatch(r"(?:own_tasks\.)?user_id = \$(\d+)(?:::\w+)?", part) for part in conjuncts)
    return {int(match[1]) for match in found if match}


@pytest.fixture
async def listened(database_url: str) -> AsyncIterator[tuple[Database, list[LoggedQuery]]]:
    """A database with one connection, and what is said on it."""
    database = Database(DatabaseAddress.parse(database_url), pool_size=1)
    await database.open()
    await database.trouble()
    heard: list[LoggedQuery] = []
    assert database._pool is not None
    connection = await database._pool.take()
    connection.add_query_logger(heard.append)
    database._pool.give_back(connection)
    yield database, heard
    await database.close()


async def test_every_statement_names_the_owner(listened: tuple[Database, list[LoggedQuery]]) -> None:
    database, heard = listened
    ann, task = someone(), TaskFactory.build()
    mine = NeonTaskRepository(database, owner=ann)

    await mine.add(task)
    await mine.get(task.id)
    await mine.show(task.id)
    await mine.page(1, after=None)
    await mine.page(1, after=Position(task.id))
    await mine.change(task.id, TaskChanges(title="x", description=None, completed=True), at=later(1))
    await mine.toggle(task.id, at=later(2))
    await mine.remove(task.id)
    with suppress(TaskNotFound):
        await mine.get(task.id)

    await asyncio.sleep(0)  # the driver tells its listeners a turn later
    about_tasks = [query for query in heard if OWNED.search(query.query)]
    assert len(about_tasks) == 9
    for query in about_tasks:
        parameters = owner_parameters(query.query)
        assert parameters, query.query
        assert {query.args[number - 1] for number in parameters} == {ann}, query.query


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM own_tasks WHERE user_id IS NOT NULL",
        "SELECT * FROM own_tasks WHERE user_id = $1 OR id = $2",
        "SELECT * FROM own_tasks WHERE (user_id = $1 OR true)",
        "SELECT * FROM own_tasks WHERE id = $1 ORDER BY user_id = $2",
        "DELETE FROM own_tasks WHERE id = $1 RETURNING user_id = $2",
        "INSERT INTO own_tasks (id, user_id) SELECT $1::UUID AS id, 'bob' AS user_id",
    ],
)
def test_a_statement_that_does_not_would_be_found(sql: str) -> None:
    assert owner_parameters(sql) == set()
