"""One honest person, who uses the service at a normal pace while another one abuses it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median, quantiles
from typing import Final, TypeVar

import httpx

from tests.support.factories import someone
from tests.support.servers.service import Service

PAUSE: Final = 0.05  # seconds between requests: about 15 requests a second, within the default limits
SHORT_PAUSE: Final = 0.02  # seconds, where few seconds must give many measurements
WINDOWS: Final = 3  # measurements of a test at most
SECONDS: Final = 1.5  # of each half of a window
QUICK: Final = 0.25  # seconds; a p99 of at most this is fair in any case
TIMEOUT: Final = 20.0  # seconds that the person waits for one answer
M = TypeVar("M")


@dataclass
class Measured:
    """The results of the honest person: for each request its status (0: no response) and its duration in seconds."""

    requests: list[tuple[int, float]] = field(default_factory=list)  # (status, seconds)

    @property
    def share_answered(self) -> float:
        """Return the share of requests answered 2xx, 0 to 1."""
        return sum(200 <= status < 300 for status, _ in self.requests) / len(self.requests)

    @property
    def median(self) -> float:
        """Return the median duration in seconds."""
        return median(seconds for _, seconds in self.requests)

    @property
    def p99(self) -> float:
        """Return the 99th percentile of durations in seconds."""
        durations = [seconds for _, seconds in self.requests]
        return quantiles(durations, n=100)[98] if len(durations) > 1 else durations[0]

    @property
    def worst(self) -> float:
        """Return the longest duration in seconds."""
        return max(seconds for _, seconds in self.requests)


@contextmanager
def honest_person(
    service: Service, path: str = "/api/me/tasks", *, pause: float = PAUSE
) -> Iterator[Measured]:
    """Let an honest person create and list tasks until the block ends.

    Another `path`, `/health` for example, is only read.
    """
    measured, stop = Measured(), threading.Event()
    headers = service.headers(someone("honest"))

    def work() -> None:
        with httpx.Client(base_url=service.url, headers=headers, timeout=TIMEOUT) as client:
            for number in cycle(range(10)):
                if stop.is_set() and measured.requests:
                    return
                create = number == 0 and path == "/api/me/tasks"
                began = time.monotonic()
                try:
                    answer = client.post(path, json={"title": "honest"}) if create else client.get(path)
                    status = answer.status_code
                except httpx.HTTPError:
                    status = 0
                measured.requests.append((status, time.monotonic() - began))
                stop.wait(pause)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield measured
    finally:
        stop.set()
        thread.join()


@dataclass
class Window:
    """The results of the honest person before an abuse and during it."""

    quiet: Measured
    abused: Measured

    @property
    def is_fair(self) -> bool:
        """Whether the p99 during the abuse was at most three times the p99 before, or at most `QUICK`."""
        return self.abused.p99 <= max(3 * self.quiet.p99, QUICK)

    def __str__(self) -> str:
        """Return the figures as text."""
        figures = (f"p50 {each.median:.3f} p99 {each.p99:.3f}" for each in (self.quiet, self.abused))
        return "quiet {}, abused {}".format(*figures)


def until_good(measure: Callable[[], M], is_good: Callable[[M], object], *, at_most: int) -> list[M]:
    """Measure until a result is good, at most `at_most` times: other processes may disturb a single measurement.

    `is_good` must check all that the test requires of at least one result.
    """
    measured = [measure()]
    while len(measured) < at_most and not is_good(measured[-1]):
        measured.append(measure())
    return measured


def measure_windows(
    service: Service,
    abuse: Callable[[], AbstractContextManager[object]],
    is_good: Callable[[Window], object],
) -> list[Window]:
    """Measure the honest person before an abuse and during it, until a window is good or `WINDOWS` are measured."""

    def window() -> Window:
        with honest_person(service, pause=SHORT_PAUSE) as quiet:
            time.sleep(SECONDS)
        with abuse():
            time.sleep(0.3)  # until the abuse has begun
            with honest_person(service, pause=SHORT_PAUSE) as abused:
                time.sleep(SECONDS)
        return Window(quiet, abused)

    return until_good(window, is_good, at_most=WINDOWS)
