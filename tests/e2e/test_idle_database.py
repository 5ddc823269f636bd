"""Neon suspends a database that is asked nothing, and health checks must not be what keeps it awake.

How the test was seen to fail: readiness asking `SELECT 1` each time.
"""

import time
from pathlib import Path

import httpx
import pytest

from dev.postgres import PostgresServer
from tests.conftest import environment_for
from tests.service import app, serving

pytestmark = pytest.mark.server

MINUTE = 62  # seconds: longer than a connection lies idle before it is closed
TOLD = 11  # seconds after which even an idle server process has told its counts


def test_a_minute_of_health_checks_each_second_sends_the_database_nothing(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.new_database()
    name = url.rpartition("/")[2]
    app("migrate", env={"DATABASE_URL": url}, cwd=tmp_path)

    def transactions() -> int:
        return int(
            postgres.query(
                f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{name}'"
            )
        )

    with (
        serving(environment_for(url), tmp_path) as service,
        httpx.Client(base_url=service.url, timeout=5) as client,
    ):
        assert client.get("/api/me/tasks", headers=service.headers()).status_code == 200
        time.sleep(TOLD)
        before = transactions()

        until = time.monotonic() + MINUTE
        while time.monotonic() < until:
            assert client.get("/health").status_code == 200
            assert client.get("/health/ready").status_code == 200
            time.sleep(1)

        assert transactions() == before
        assert postgres.query(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'") == "0"
        assert client.get("/api/me/tasks", headers=service.headers()).status_code == 200
        time.sleep(1.5)
        assert transactions() > before
