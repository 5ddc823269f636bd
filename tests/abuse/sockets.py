"""Many connections at once, opened by one machine."""

import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.servers.service import Service

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def address_of(service: Service) -> tuple[str, int]:
    """Return the service's host and port."""
    url = urlsplit(service.url)
    return url.hostname or "", url.port or 0


@contextmanager
def connected(service: Service, times: int, *, sends: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections, send the same bytes over each, and hold them until the block ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < times + 256:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(times + 256, hard), hard))
    with ExitStack() as stack:
        connections = []
        for _ in range(times):
            connection = stack.enter_context(socket.create_connection(address_of(service), timeout=30))
            if sends:
                connection.sendall(sends)
            connections.append(connection)
        yield connections


def count_answered(connections: list[socket.socket], *, within: float, enough: int | None = None) -> int:
    """Wait at most `within` seconds until `enough` connections have data or were closed; return how many have.

    `enough` is None: all connections.
    """
    waiting, deadline = set(connections), time.monotonic() + within
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    by_number = {connection.fileno(): connection for connection in connections}
    may_wait = len(connections) - enough if enough else 0
    while len(waiting) > may_wait and (left := deadline - time.monotonic()) > 0:
        for number, _ in poll.poll(left * 1000):
            poll.unregister(number)
            waiting.discard(by_number[number])
    return len(connections) - len(waiting)


def wait_until_read(service: Service, *, within: float = 8) -> None:
    """Wait until the service has accepted all connections and read all that was sent to it."""
    deadline = time.monotonic() + within
    while left := unread_bytes(service):
        assert time.monotonic() < deadline, f"{left} bytes are not read"
        time.sleep(0.05)


def unread_bytes(service: Service) -> int:
    """Return how many bytes the kernel holds that the service has not read. A connection not yet accepted adds 1."""
    port = f":{address_of(service)[1]:04X}"
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, _, queues = line.split()[1:5]
        sent, received = (int(number, 16) for number in queues.split(":"))
        count += received * local.endswith(port) + sent * remote.endswith(port)
    return count
