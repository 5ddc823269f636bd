"""`/metrics` of all workers, served by the main process on its own port."""

import os
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from app.cli.metrics_files import merge_dead, metrics_folder
from app.settings import Settings
from app.settings.telemetry import METRICS_FOLDER


@contextmanager
def expose_metrics(settings: Settings, restarts: Callable[[], int]) -> Iterator[Callable[[], None]]:
    """Serve the metrics of workers that start inside the block. Without METRICS_PORT, do nothing.

    Yield a function that must be called after a worker was replaced. `restarts` returns how many workers
    have died.
    """
    telemetry = settings.telemetry
    if telemetry.metrics_port is None:
        yield lambda: None
        return
    with metrics_folder() as folder:
        os.environ[METRICS_FOLDER] = str(folder)  # before the import, which reads it; the workers inherit it
        from prometheus_client import (  # noqa: PLC0415
            CollectorRegistry,
            Metric,
            ProcessCollector,
            start_http_server,
        )
        from prometheus_client.metrics_core import (  # noqa: PLC0415
            CounterMetricFamily,
            GaugeMetricFamily,
            InfoMetricFamily,
        )
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        one_at_a_time = threading.Lock()

        def forget_dead() -> None:
            with one_at_a_time:
                merge_dead(folder)

        class ServiceCollector:
            """Counters of all workers, gauges of live workers, and metrics of the main process."""

            def collect(self) -> Iterable[Metric]:
                with one_at_a_time:
                    merge_dead(folder)
                    yield from MultiProcessCollector(None, str(folder)).collect()
                yield CounterMetricFamily(
                    "taskward_worker_restarts_total", "Workers that died and were replaced", restarts()
                )
                yield GaugeMetricFamily(
                    "taskward_workers_configured",
                    "Worker processes that there should be",
                    settings.server.workers,
                )
                build = {"version": version("taskward"), "python": platform.python_version()}
                yield InfoMetricFamily("taskward_build", "Which version runs", build)

        registry = CollectorRegistry()
        registry.register(ServiceCollector())
        ProcessCollector(registry=registry)  # of the main process, with its start time
        server, _ = start_http_server(telemetry.metrics_port, telemetry.metrics_host, registry)
        os.register_at_fork(after_in_child=server.socket.close)  # a worker must not hold the port
        try:
            yield forget_dead
        finally:
            server.shutdown()
            server.server_close()
