"""Measurements of Taskward alone: tokens, idle event streams, memory, two workers."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlsplit

from app.live.hub import PERSON_MAX, PROCESS_MAX
from benchmarks import load
from benchmarks.bed import WARM_UP, Bed
from benchmarks.measuring import Measured
from benchmarks.report import Report
from benchmarks.scenes import Owner, Request, requests_of
from benchmarks.servers import TASKWARD
from benchmarks.settings import ALGORITHMS
from benchmarks.trust import Issuer, issuer_of
from dev.steps import print_progress

READ_ONE: Final = "read one"
FIRST: Final = "first use of a token"
LIST: Final = "list 50"
BESIDE: Final = "read one beside idle streams"
TWO_WORKERS: Final = "two workers"
STREAMS: Final = "idle streams"
NEW_TOKENS: Final = 8_000  # more than the load can send in one second, so each is used once
MANY: Final = 100_000  # requests during which memory should stay constant
HALF: Final = MANY // 2
SECONDS: Final = 2  # of each load, except that of FIRST


@dataclass(frozen=True, slots=True)
class Extras:
    """The figures of all rounds, and the worker's memory in MB at some moments."""

    report: Report
    memory: dict[str, float]

    def lines(self) -> Iterator[str]:
        """Yield the sentences for the terminal and the README."""
        report = self.report
        hs256, eddsa = ALGORITHMS
        cached = report.ratio(eddsa, hs256, READ_ONE)
        yield f"EdDSA costs {cached} of what HS256 does, in CPU per request, once a token is known."
        for algorithm in ALGORITHMS:
            extra = report.median(algorithm, FIRST) - report.median(algorithm, READ_ONE)
            yield f"The first use of a token costs {extra:,.0f} µs more with {algorithm}."
        beside, alone = (report.median(STREAMS, scene, "p99") for scene in (BESIDE, READ_ONE))
        yield f"Beside {PROCESS_MAX} idle event streams a read's p99 is {beside / alone:.2f} of that alone."
        yield f"Memory of a worker: {', '.join(f'{mb:.0f} MB {when}' for when, mb in self.memory.items())}."
        faster = report.ratio(TWO_WORKERS, hs256, LIST, "rate")
        yield (
            f"Two workers answer {faster} times as many requests/s as one: {self._busy(hs256):.0%} of the"
            f" machine's {os.cpu_count()} cores are busy with one, {self._busy(TWO_WORKERS):.0%} with two"
            f" (of the CPU of a list of 50 Taskward takes {self._share(hs256, 'cpu'):.0%}, PostgreSQL"
            f" {self._share(hs256, 'database_cpu'):.0%}, wrk {self._share(hs256, 'client_cpu'):.0%})."
        )

    def as_json(self) -> dict[str, Any]:
        """Return all figures."""
        return {"memory_of_a_worker_mb": self.memory, **self.report.as_json()}

    def _total_cpu(self, variant: str) -> float:
        parts = ("cpu", "database_cpu", "client_cpu")
        return sum(self.report.median(variant, LIST, part) for part in parts)

    def _busy(self, variant: str) -> float:
        return (
            self.report.median(variant, LIST, "rate") * self._total_cpu(variant) / 1e6 / (os.cpu_count() or 1)
        )

    def _share(self, variant: str, part: str) -> float:
        return self.report.median(variant, LIST, part) / self._total_cpu(variant)


def measure_extras(bed: Bed) -> Extras:
    """Measure Taskward's extra scenes, and the memory of a worker."""
    with ExitStack() as stack:
        issuers = {name: stack.enter_context(issuer_of(name)) for name in ALGORITHMS}
        report = Report(_measure_rounds(bed, issuers))
        return Extras(report, _memory(bed, issuers["HS256"]))


def _measure_rounds(bed: Bed, issuers: dict[str, Issuer]) -> list[Measured]:
    hs256, eddsa = issuers.values()
    plans = (  # title of the variant, workers, issuer of tokens, scenes
        (hs256.algorithm, 1, hs256, (READ_ONE, FIRST, LIST)),
        (eddsa.algorithm, 1, eddsa, (READ_ONE, FIRST)),
        (TWO_WORKERS, 2, hs256, (LIST,)),
        (STREAMS, 1, hs256, (READ_ONE, BESIDE)),
    )
    measured = []
    turns = [(number, *plan) for number in range(bed.chosen.rounds) for plan in plans]
    for turn, (number, variant, workers, issuer, scenes) in enumerate(turns):
        print_progress(
            f"Taskward alone, round {number + 1} of {bed.chosen.rounds}: {variant}", turn / len(turns)
        )
        with bed.started(TASKWARD, issuer=issuer, workers=workers) as started:
            for scene in scenes:
                new = scene == FIRST
                with idle_streams(started.url, issuer, PROCESS_MAX if scene == BESIDE else 0):
                    figures = bed.measure(
                        started,
                        _requests(scene, bed.owners, issuer, number),
                        seconds=1 if new else SECONDS,
                        warm_up=0 if new else WARM_UP,
                    )
                if new and figures.rate > NEW_TOKENS:
                    raise load.LoadFailed(f"{NEW_TOKENS:,} new tokens are too few for this machine")
                measured.append(Measured(number, variant, scene, figures))
    print_progress("measured", 1)
    return measured


def _requests(scene: str, owners: list[Owner], issuer: Issuer, number: int) -> list[Request]:
    known = [Owner(owner.user_id, issuer.token(owner.user_id), owner.task_ids) for owner in owners]
    if scene == LIST:
        return requests_of("list", known)
    if scene in (READ_ONE, BESIDE):
        return requests_of("read", known)
    new = requests_of("read", known, NEW_TOKENS)
    return [
        Request(r.method, r.path, issuer.token(r.path.split("/")[2], serial=number * NEW_TOKENS + at + 1))
        for at, r in enumerate(new)
    ]


@contextmanager
def idle_streams(url: str, issuer: Issuer, count: int) -> Iterator[None]:
    """Keep event streams open, of people whose tasks nobody changes.

    Raises:
        LoadFailed: the server did not open one.
    """
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(closing(HTTPConnection(urlsplit(url).netloc, timeout=10)))
            token = issuer.token(f"follower {number // PERSON_MAX}")
            path = "/api/me/tasks/events?since=now"
            connection.request("GET", path, headers={"authorization": f"Bearer {token}"})
            if (status := connection.getresponse().status) != HTTPStatus.OK:
                raise load.LoadFailed(f"event stream {number + 1} of {count} is answered {status}")
        yield


def _memory(bed: Bed, issuer: Issuer) -> dict[str, float]:
    """Send many reading requests, and measure the memory of the worker in between."""
    requests = [*_requests(LIST, bed.owners, issuer, 0), *_requests(READ_ONE, bed.owners, issuer, 0)]
    seen: dict[str, float] = {}
    with bed.started(TASKWARD, issuer=issuer) as started:
        count = 0
        seen["after 0 requests"] = started.memory()[0]
        for mark in (HALF, MANY):
            while count < mark:
                print_progress(f"memory after {count:,} requests", count / MANY)
                sent = load.send(requests, started.url, seconds=SECONDS, clients=bed.chosen.clients)
                count += sent.requests
            seen[f"after {mark:,} requests"] = started.memory()[0]
        with idle_streams(started.url, issuer, PROCESS_MAX):
            seen[f"with {PROCESS_MAX} idle event streams"] = started.memory()[0]
    print_progress("measured", 1)
    return seen
