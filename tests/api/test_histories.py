"""Random histories of requests by two people: the service and a simple model agree after every step.

`docs/decisions/0008-histories.md` lists faults that were put into the code. This test found each of them.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from dev.postgres import PostgresServer
from tests.histories.batches import Batches
from tests.histories.changes import Changes
from tests.histories.reads import Reads
from tests.histories.sync_app import SyncApp
from tests.histories.writes import Writes
from tests.support.servers.migrated import migrated_database

pytestmark = pytest.mark.server

HISTORIES = 200
STEPS = 24
SHORT = 14  # characters of a position at most: a move often has no room, which is rare with the real maximum


class Histories(Batches, Writes, Reads, Changes):
    """All operations of a history."""


@pytest.fixture
async def migrated(postgres: PostgresServer) -> str:
    """A separate database, because the histories delete the trash of all owners."""
    return await migrated_database(postgres)


@pytest.fixture
def sync_app(migrated: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncApp]:
    """The service, with short positions."""
    monkeypatch.setattr("app.domain.position.CROWDED", SHORT)
    app = SyncApp(migrated)
    yield app
    app.close()


def test_the_service_and_a_simple_model_agree_after_every_step_of_random_histories(
    sync_app: SyncApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Histories, "app", sync_app, raising=False)

    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
