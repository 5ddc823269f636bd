"""Hooks of pytest that search the logs. `tests.conftest` imports them; another run of pytest loads them with `-p`."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.log_search import LOGS, recording_requests


@pytest.fixture(scope="session", autouse=True)
def _recorded_requests() -> Iterator[None]:
    """Record what tests send to the service, because no log line may contain it."""
    with recording_requests():
        yield


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Search what the application printed in this process."""
    is_of_worker = hasattr(report, "node")  # the worker has searched its output already
    if report.when == "teardown" and not is_of_worker:
        LOGS.search(report.nodeid, f"{report.capstdout}\n{report.capstderr}\n{report.caplog}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a log line contains personal data. A worker passes its findings on."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["logs"] = (LOGS.lines, LOGS.found)
    if LOGS.found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the results of a worker. A crashed worker has none, but it has already failed the run."""
    lines, found = getattr(node, "workeroutput", {}).get("logs", (0, {}))
    LOGS.add(lines, found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many lines were searched, and the findings."""
    terminalreporter.write_line(
        f"{LOGS.lines} lines of logs searched, {len(LOGS.found)} private things found"
    )
    for what, line in LOGS.found.items():
        terminalreporter.write_line(f"PRIVATE in {what}\n    {line[:500]}", red=True)
