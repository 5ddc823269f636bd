"""Random histories by two owners: the service and a simple model, side by side, agree after every step.

How they were seen to find a fault in each verb: `docs/decisions/0008-histories.md`.
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
SHORT = 14  # characters of a position: between two there is room for few, so that all are spread now and then


class Histories(Batches, Writes, Reads, Changes):
    """All operations of a history."""


@pytest.fixture
async def migrated(postgres: PostgresServer) -> str:
    """A database of their own: in it, the trash of all owners is deleted again and again."""
    return await migrated_database(postgres)


@pytest.fixture
def sync_app(migrated: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncApp]:
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
