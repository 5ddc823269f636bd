"""The task repositories: in memory and on PostgreSQL."""

from collections.abc import Callable

import pytest

from app.domain.identity import UserId
from app.domain.task_repository import TaskRepository
from app.infra.postgres.database import Database
from app.infra.tasks import NeonTaskRepository
from tests.support.fakes import MemoryStore, MemoryTaskRepository

RepositoryOf = Callable[[UserId], TaskRepository]


@pytest.fixture(params=["memory", pytest.param("neon", marks=pytest.mark.server)])
def repository_of(request: pytest.FixtureRequest) -> RepositoryOf:
    """A function that returns the repository of an owner; all of them share one store."""
    if request.param == "memory":
        store = MemoryStore()
        return lambda owner: MemoryTaskRepository(owner, store)
    database: Database = request.getfixturevalue("database")
    return lambda owner: NeonTaskRepository(database, owner=owner)
