"""`/metrics`, on a listener of its own, in the parent of the workers: one answer for all of them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from app.settings.observing import COUNT_FILES, Observing

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a full disk would kill whoever writes to a mapped file


@contextmanager
def exposing(observing: Observing) -> Iterator[None]:
    """Show what the workers started within count; nothing, where no port is set."""
    if observing.metrics_port is None:
        yield
        return
    place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="taskward-metrics-", dir=place) as folder:
        os.environ[COUNT_FILES] = folder  # before the import, which looks for it; the workers inherit it
        from prometheus_client import CollectorRegistry, Metric, start_http_server  # noqa: PLC0415
        from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # noqa: PLC0415

        class Workers:
            """The counts of all, and the present state of those who live."""

            def collect(self) -> Iterable[Metric]:
                for pid in {file.stem.rpartition("_")[2] for file in Path(folder).glob("gauge_live*.db")}:
                    if not _lives(int(pid)):
                        with suppress(FileNotFoundError):  # another scrape was faster
                            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]  # untyped there
                metrics: Iterable[Metric] = MultiProcessCollector(None, folder).collect()  # type: ignore[no-untyped-call]  # untyped there
                return metrics

        registry = CollectorRegistry()
        registry.register(Workers())
        server, _ = start_http_server(observing.metrics_port, observing.metrics_host, registry)
        os.register_at_fork(after_in_child=server.socket.close)  # a worker must not hold the port
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
