"""Requests that no rate limit counts write a bounded number of log lines."""

import json
import socket
import time
from pathlib import Path

import pytest

from app.log_limit import LINES_MAX
from dev.postgres import free_port
from tests.abuse.conftest import default_environment
from tests.abuse.honest import honest_person
from tests.abuse.sockets import address_of
from tests.support.metrics import eventually, total
from tests.support.servers.service import serving

pytestmark = pytest.mark.server

ROUNDS = 20
AT_ONCE = 100  # requests in each round, sent without waiting for a response
OPTIONS = b"OPTIONS /api/me/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n"
COUNT = "taskward_http_request_duration_seconds_count"


def test_a_flood_of_options_requests_writes_few_log_lines_and_no_line_of_another_person_is_left_out(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    env = default_environment(database_url, METRICS_PORT=str(port))

    with serving(env, tmp_path) as service:
        with honest_person(service) as honest, socket.create_connection(address_of(service), 20) as flood:
            began = time.monotonic()
            for _ in range(ROUNDS):
                flood.sendall(OPTIONS * AT_ONCE)
                answers = b""
                while answers.count(b"HTTP/1.1 204") < AT_ONCE or not answers.endswith(b"\r\n\r\n"):
                    received = flood.recv(65536)
                    assert received, "the service closed the connection"
                    answers += received
            seconds = time.monotonic() - began
        eventually(port, lambda found: total(found, COUNT, method="OPTIONS", status=204) == ROUNDS * AT_ONCE)

    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    requests = [line for line in lines if line["event"] == "request"]
    of_options = sum(line["method"] == "OPTIONS" for line in requests)
    left_out = [line for line in lines if line["event"] == "request lines left out"]
    assert 0 < of_options <= LINES_MAX * (seconds + 2)
    assert 0 < len(left_out) <= seconds + 2
    assert of_options + sum(line["left_out"] for line in left_out) == ROUNDS * AT_ONCE
    assert sum(line["user"] is not None for line in requests) == len(honest.requests)
    assert honest.share_answered == 1
