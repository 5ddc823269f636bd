"""The workers of a service, and the resources that they use."""

import psutil

from tests.support.servers.service import Service


def workers(service: Service) -> list[psutil.Process]:
    """Return the processes that answer requests: all children except the resource tracker of `multiprocessing`."""
    return [
        child
        for child in psutil.Process(service.process.pid).children(recursive=True)
        if "resource_tracker" not in " ".join(child.cmdline())
    ]


def descriptors(service: Service) -> int:
    """Return how many files and sockets the workers have open."""
    return sum(worker.num_fds() for worker in workers(service))


def memory(service: Service) -> float:
    """Return the resident memory of the workers, in MB."""
    return sum(worker.memory_info().rss for worker in workers(service)) / 1e6


def cpu_seconds(service: Service) -> float:
    """Return the CPU time that the workers have used since their start, in seconds."""
    return sum(sum(worker.cpu_times()[:2]) for worker in workers(service))
