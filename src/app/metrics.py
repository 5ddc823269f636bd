"""Prometheus metrics, summed over all workers.

Each worker counts in its own files. The main process reads and adds them (the multiprocess mode of
prometheus-client, `app.cli.metrics_endpoint`), so counts outlive a worker. Metrics of requests are counted
as requests end. Other parts keep plain numbers, which are copied each second.

Import this only where metrics are exposed: prometheus-client reads the folder of the files at import.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from prometheus_client import Counter, Gauge, Histogram

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)  # seconds
FAILURES: Final = (500, 503)  # statuses
PERIOD: Final = 1.0  # seconds between copies
_Mode = Literal["livesum", "livemin"]

GAUGES: Final[dict[str, tuple[_Mode, str]]] = {
    "taskward_workers": ("livesum", "Worker processes that live"),
    "taskward_http_requests_in_flight": ("livesum", "Requests being answered"),
    "taskward_database_pool_size": ("livesum", "Connections that may be open"),
    "taskward_database_connections_lent": ("livesum", "Connections that a request uses"),
    "taskward_database_connections_idle": ("livesum", "Open connections that nobody uses"),
    "taskward_database_connections_opening": ("livesum", "Connections being opened"),
    "taskward_database_requests_waiting": ("livesum", "Requests that wait for a connection"),
    "taskward_walls_up": (
        "livemin",
        "1 if the last check of row-level security passed in every worker, 0 if it failed in one",
    ),
    "taskward_database_statements_prepared": (
        "livemin",
        "1 if statements are prepared once for a connection, 0 if a pooler does not keep them",
    ),
    "taskward_keys": ("livemin", "Public keys of the issuer, in the worker that has the fewest"),
    "taskward_keys_last_success_timestamp_seconds": (
        "livemin",
        "Time of the last successful fetch of keys, in the worker where it is oldest; 0: never",
    ),
    "taskward_rate_limit_store_up": (
        "livemin",
        "1 if all workers count requests in the store, 0 if one counts by itself",
    ),
    "taskward_event_streams": ("livesum", "Open event streams"),
    "taskward_live_store_up": (
        "livemin",
        "1 if all workers get the changes of other machines, 0 if one does not",
    ),
    "taskward_token_cache_entries": ("livesum", "Verified tokens in the caches"),
}
COUNTERS: Final = {
    "taskward_keys_fetches_total": "Attempts to fetch the issuer's keys",
    "taskward_keys_fetch_failures_total": "Attempts that returned no usable set",
    "taskward_token_cache_hits_total": "Tokens that were in the cache",
    "taskward_token_cache_misses_total": "Tokens that had to be verified",
}


class Metrics:
    """The metrics of this process."""

    def __init__(self) -> None:
        self._durations = Histogram(
            "taskward_http_request_duration_seconds",
            "Responses, by route template; status 0: the client disconnected before the response",
            ("route", "method", "status"),
            buckets=BUCKETS,
            registry=None,
        )
        self._problems = Counter(
            "taskward_problems_total", "Problem documents sent (RFC 9457)", ("type",), registry=None
        )
        self._series: dict[tuple[str | None, str, int], Histogram] = {}
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, tuple[Counter, float]] = {}  # each with the value that was copied last

    def start_failures_at_zero(self, routes: Iterable[tuple[str, str]]) -> None:
        """Start the series of failures of these routes and methods at 0.

        Prometheus sees an increase only after an earlier sample, so it would miss the first failure.
        """
        for route, method in routes:
            for status in FAILURES:
                self._series[route, method, status] = self._durations.labels(route, method, str(status))

    def record(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count a request. The route is a template: ids would identify people and create unbounded series."""
        try:
            series = self._series[route, method, status]
        except KeyError:
            series = self._durations.labels(route or "none", method, str(status))
            self._series[route, method, status] = series
        series.observe(seconds)

    def count_problem(self, problem: str) -> None:
        """Count a problem by the slug of its type, or as `about:blank`."""
        self._problems.labels(problem).inc()

    def copy(self, values: Mapping[str, float]) -> None:
        """Copy numbers that other parts keep into the gauges and counters of the same names."""
        for name, value in values.items():
            if name in GAUGES:
                if name not in self._gauges:
                    mode, text = GAUGES[name]
                    self._gauges[name] = Gauge(name, text, multiprocess_mode=mode, registry=None)
                self._gauges[name].set(value)
            else:
                counter, before = self._counters.get(name) or (
                    Counter(name, COUNTERS[name], registry=None),
                    0.0,
                )
                counter.inc(value - before)
                self._counters[name] = counter, value

    async def copy_for_ever(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Copy each second, until cancelled."""
        while True:
            self.copy(read())
            await asyncio.sleep(PERIOD)
