"""Resources that the processes of a service use."""

import psutil

from tests.support.servers.service import Service


def workers(service: Service) -> list[psutil.Process]:
    """Return the processes that answer."""
    return [
        child
        for child in psutil.Process(service.process.pid).children(recursive=True)
        if "resource_tracker" not in " ".join(child.cmdline())
    ]


def descriptors(service: Service) -> int:
    """Return how many files and sockets they have open."""
    return sum(worker.num_fds() for worker in workers(service))


def memory(service: Service) -> float:
    """Return what they hold, in MB."""
    return sum(worker.memory_info().rss for worker in workers(service)) / 1e6


def cpu_seconds(service: Service) -> float:
    """Return how long they have used a processor since they began."""
    return sum(sum(worker.cpu_times()[:2]) for worker in workers(service))
