"""Neon suspends a database without queries, and health checks must not keep it awake.

The test takes 8 seconds. With IDLE_SECONDS=602 it takes ten minutes, after which idle connections are closed too.
This fault, put into the code on purpose, made the test fail: readiness sends `SELECT 1` each time.
"""

import os
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import environment_for
from tests.support.servers.postgres_proxy import tcp_proxy
from tests.support.servers.service import serving

pytestmark = pytest.mark.server

SECONDS = int(os.environ.get("IDLE_SECONDS", "8"))
TERMINATE = b"X\x00\x00\x00\x04"  # the message by which a client of PostgreSQL closes its connection


def test_health_checks_every_second_send_no_statement_to_the_database(
    database_url: str, tmp_path: Path
) -> None:
    with (
        tcp_proxy(database_url) as proxy,
        serving(environment_for(proxy.url), tmp_path) as service,
        httpx.Client(base_url=service.url, timeout=5) as client,
    ):
        assert client.get("/api/me/tasks", headers=service.headers()).status_code == 200
        before = len(proxy.sent)
        assert before > 0

        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert client.get("/health").status_code == 200
            assert client.get("/health/ready").status_code == 200
            time.sleep(1)

        assert set(proxy.sent[before:]) <= {TERMINATE}
