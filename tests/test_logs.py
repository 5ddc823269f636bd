"""The log has the place of an error and a hash of the person's id, but no personal data."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from select import PIPE_BUF
from typing import Any, TextIO

import asyncpg
import pytest
import structlog

from app import log_output, logs
from app.log_limit import LINES_MAX
from app.logs import describe_error, pseudonym_of


def log_request(  # noqa: PLR0913 - keywords with defaults
    method: str = "GET",
    route: str | None = None,
    status: int = 200,
    *,
    user: str | None = None,
    problem: str | None = None,
    milliseconds: float = 1.0,
) -> None:
    """Log a request that belongs to no trace."""
    logs.log_request("id", None, user, method, route, status, problem, milliseconds)


def test_a_drivers_error_is_reported_without_the_values_that_it_quotes() -> None:
    try:
        try:
            raise asyncpg.DataError("invalid input: 'a very private title'")  # noqa: TRY301 - the chain of errors is the case
        except asyncpg.DataError as error:
            raise ValueError("a very private title") from error
    except ValueError as error:
        lines = describe_error(error)

    assert "private" not in str(lines)
    assert lines[0] == "builtins.ValueError"
    assert "asyncpg.exceptions.DataError" in lines
    assert any("test_logs.py" in line for line in lines)


@pytest.mark.parametrize("error", [TypeError("f() takes 1 argument"), AttributeError("no attribute x")])
def test_an_error_of_the_code_is_reported_with_its_message(error: Exception) -> None:
    assert str(error) in describe_error(error)[0]


@pytest.fixture
def _default_log() -> Iterator[None]:
    """Configure the log as usual again after the test."""
    yield
    logs.configure("info", "json")


@pytest.mark.usefixtures("_default_log")
def test_a_person_has_the_same_hash_as_long_as_the_key_stays_the_same() -> None:
    logs.configure("info", "json", "a key of the operator")
    first = pseudonym_of("ann")

    assert pseudonym_of("bob") != first
    logs.configure("info", "json", "another key of the operator")
    assert pseudonym_of("ann") != first
    logs.configure("info", "json", "a key of the operator")
    assert pseudonym_of("ann") == first


@pytest.mark.parametrize("absent", [True, False])
async def test_the_log_line_of_a_request_is_json(
    absent: bool,  # noqa: FBT001
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "json")

    logs.log_request(
        "id",
        None if absent else "a" * 32,
        None if absent else 'ann "the" \\ admin\n',
        "GET",
        None if absent else "/api/{user_id}/tasks",
        200,
        None if absent else "task-not-found",
        1.2345,
    )

    line = json.loads(capsys.readouterr().out)
    assert (line["request_id"], line["milliseconds"], line["level"]) == ("id", 1.23, "info")
    optional = line["trace_id"], line["user"], line["route"], line["problem"]
    if absent:
        assert optional == (None, None, None, None)
    else:
        assert None not in optional
    assert "ann" not in str(line)
    assert datetime.now(UTC) - datetime.fromisoformat(line["timestamp"]) < timedelta(seconds=5)


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[TextIO]:
    """A file to which standard output is redirected."""
    with (tmp_path / "log").open("w") as file:
        yield file


async def test_one_write_to_the_log_is_at_most_as_large_as_an_atomic_write_to_a_pipe(
    log_file: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    with redirect_stdout(log_file):
        logs.configure("info", "json")
        monkeypatch.setattr(log_file, "flush", lambda: sizes.append(logs._pending), raising=False)
        for _ in range(50):
            logs.log_request("id" * 30, "a" * 32, "ann", "GET", "/api/{user_id}/tasks", 200, None, 1.0)
            sizes.append(logs._pending)

        structlog.get_logger().info("another event")

    assert sizes[-1] == 0  # the waiting lines were written before the other event
    assert max(sizes) <= logs.TOGETHER_MAX <= PIPE_BUF
    assert max(sizes) > logs.TOGETHER_MAX / 2


async def test_request_lines_are_written_together_soon_and_before_any_later_line(log_file: TextIO) -> None:
    def written() -> list[str]:
        return [json.loads(line)["event"] for line in Path(log_file.name).read_text().splitlines()]

    with redirect_stdout(log_file):
        logs.configure("info", "json")
        seen = []
        for _ in range(2):
            log_request()
            at_once = len(written())
            await asyncio.sleep(5 * logs.FLUSH_AFTER)
            seen.append((at_once, len(written())))
        log_request()
        structlog.get_logger().warning("another")
        with_another = written()

    assert seen == [(0, 1), (1, 2)]
    assert with_another == ["request", "request", "request", "another"]


def redirect(place: str, file: TextIO) -> None:
    """Redirect a file's descriptor to another file."""
    with Path(place).open("w") as another:
        os.dup2(another.fileno(), file.fileno())


def lines_of(file: TextIO) -> list[str]:
    return Path(file.name).read_text().splitlines()


@pytest.mark.usefixtures("_default_log")
async def test_a_log_that_cannot_be_written_makes_no_request_fail_and_is_reported_once_each_time(
    log_file: TextIO, capsys: pytest.CaptureFixture[str]
) -> None:
    with log_file, redirect_stdout(log_file):
        log_output.never_fail()
        logs.configure("info", "json")
        for place in ("/dev/full", log_file.name, "/dev/full"):
            redirect(place, log_file)
            for _ in range(50):
                log_request()
                structlog.get_logger().warning("another")
                logging.getLogger("library").warning("another")
            logs.flush()

    lines = capsys.readouterr().err.splitlines()
    assert (
        lines == [f"{log_output.WRITE_FAILED} (No space left on device): lines are dropped until it can"] * 2
    )
    assert len(lines_of(log_file)) == 150


@pytest.mark.usefixtures("_default_log")
async def test_at_a_terminal_a_request_is_one_short_line_and_a_health_probe_has_no_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "console")

    log_request("GET", "/api/{user_id}/tasks", 200, user="ann", milliseconds=17.4)
    log_request(
        "GET",
        "/api/{user_id}/tasks/{task_id}",
        404,
        user="ann",
        problem="task-not-found",
        milliseconds=3.2,
    )
    log_request("GET", None, 404, problem="about:blank", milliseconds=0.2)
    log_request("GET", "/health", 200)
    log_request("GET", "/health/ready", 503)
    logs.flush()

    assert capsys.readouterr().out.splitlines() == [
        "GET /api/me/tasks 200 17 ms",
        "GET /api/me/tasks/{task_id} 404 3 ms  task-not-found",
        "GET (no such path) 404 0 ms",
    ]


# In UNBOUNDED and BOUNDED: the user, the method, the route and the status of a request.
UNBOUNDED = {
    "OPTIONS": (None, "OPTIONS", "/api/{user_id}/tasks", 204),
    "a health probe": (None, "GET", "/health", 200),
    "a path that does not exist": (None, "GET", None, 404),
    "no token": (None, "GET", "/api/{user_id}/tasks", 401),
    "an address beyond its rate limit": (None, "GET", None, 429),
    "another person's path": ("ann", "GET", "/api/{user_id}/tasks", 403),
    "a person beyond their rate limit": ("ann", "GET", "/api/{user_id}/tasks", 429),
}
BOUNDED = {
    "a read of a page without a token": (None, "GET", "/docs", 200),
    "a failure without a token": (None, "GET", "/api/{user_id}/tasks", 503),
    "a person's read": ("ann", "GET", "/api/{user_id}/tasks", 200),
    "a person's mistake": ("ann", "GET", "/api/{user_id}/tasks", 400),
    "a failure": ("ann", "GET", "/api/{user_id}/tasks", 500),
}


@pytest.fixture
def flood(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[Any]]:
    """Log requests of one kind within one second, and return the events that were written."""
    now = [1_000.0]
    monkeypatch.setattr("app.log_limit.monotonic", lambda: now[0])
    logs.configure("info", "json")

    def log_many(times: int, user: str | None, method: str, route: str | None, status: int) -> list[Any]:
        for _ in range(times):
            log_request(method, route, status, user=user)
        now[0] += 1
        logs.end()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return log_many


@pytest.mark.parametrize("kind", UNBOUNDED)
async def test_requests_that_no_rate_limit_bounds_have_a_limited_number_of_lines_per_second_and_a_count(
    flood: Callable[..., list[Any]], kind: str
) -> None:
    first = flood(LINES_MAX, *UNBOUNDED[kind])
    *second, count = flood(LINES_MAX + 812, *UNBOUNDED[kind])
    *third, again = flood(LINES_MAX + 1, *UNBOUNDED[kind])

    assert [len(lines) for lines in (first, second, third)] == [LINES_MAX] * 3
    assert {line["event"] for line in (*first, *second, *third)} == {"request"}
    assert (count["event"], count["left_out"]) == ("request lines left out", 812)
    assert count["statuses"] == {str(UNBOUNDED[kind][3]): 812}
    assert again["left_out"] == 1


@pytest.mark.parametrize("kind", BOUNDED)
async def test_every_request_that_a_rate_limit_bounds_has_its_line(
    flood: Callable[..., list[Any]], kind: str
) -> None:
    log_request("OPTIONS", None, 204)  # in the same second

    lines = flood(3 * LINES_MAX, *BOUNDED[kind])

    assert [line["event"] for line in lines] == ["request"] * (3 * LINES_MAX + 1)


async def test_the_reason_of_a_refused_token_counts_as_a_line_too(flood: Callable[..., list[Any]]) -> None:
    for _ in range(LINES_MAX):
        logs.explain_refusal("not-authenticated", "expired")

    *reasons, count = flood(1, None, "GET", "/api/{user_id}/tasks", 401)
    *_, later = flood(1, None, "GET", "/api/{user_id}/tasks", 401)

    assert [line["reason"] for line in reasons] == ["expired"] * LINES_MAX
    assert (count["left_out"], later["event"]) == (1, "request")


@pytest.mark.usefixtures("flood")  # stops the clock
async def test_the_number_of_lines_left_out_is_reported_soon_and_without_a_request_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.log_limit.REPORT_AFTER", 0.01)
    token = logs.REQUEST_ID.set("the last request")
    for _ in range(LINES_MAX + 2):
        log_request("OPTIONS", None, 204)
    logs.REQUEST_ID.reset(token)

    written = ""
    async with asyncio.timeout(5):
        while "left_out" not in written:
            await asyncio.sleep(0.01)
            written += capsys.readouterr().out

    report = json.loads(written.splitlines()[-1])
    assert (report["left_out"], report.get("request_id")) == (2, None)
