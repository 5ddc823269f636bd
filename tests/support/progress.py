"""Shows the progress of tests that run in several workers: a line with the seconds of each file that is done.

pytest's own dots would say nothing, because they come from all workers at once.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pytest


class FileProgress:
    """Counts the tests of each file. It runs in the process that starts the workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._left: Counter[str] = Counter()
        self._all: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Count the tests of each file. Each worker has collected the same tests."""
        self._all = Counter(map(_file_of, ids))
        self._left = self._all.copy()

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Print no dots."""
        return ("passed", "", "") if report.when == "call" and report.passed else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a line when the last test of a file is done."""
        name = _file_of(report.nodeid)
        self._seconds[name] += report.duration
        if report.when != "teardown":
            return
        self._left[name] -= 1
        if self._left[name] == 0:
            share = 1 - self._left.total() / self._all.total()
            terminal = self._config.pluginmanager.getplugin("terminalreporter")
            terminal.ensure_newline()
            terminal.write_line(f"{share:4.0%}  {self._seconds[name]:5.1f} s  {name} ({self._all[name]})")


def _file_of(test: str) -> str:
    return test.partition("::")[0]
