"""Clients that send requests and do not read the responses, and a person with a large list."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import httpx

from tests.abuse.sockets import address_of
from tests.support.factories import someone
from tests.support.servers.service import Service

LARGE_LIST: Final = "/api/me/tasks?limit=200"  # 1 MB for the person that `make_hoarder` makes
RECEIVE_BUFFER: Final = 4_096  # bytes that the kernel buffers for a reader


def post(service: Service, path: str, body: Any, user: str) -> httpx.Response:
    return httpx.post(
        f"{service.url}/api/me/tasks{path}", json=body, headers=service.headers(user), timeout=30
    )


def make_hoarder(service: Service) -> str:
    """Make a person whose list has nearly 1 MB, and return the user id."""
    owner, tasks = someone("hoarder"), [{"op": "create", "title": "x", "description": "y" * 4_600}] * 100
    for _ in range(2):
        done = post(service, "/batch", {"operations": tasks}, owner)
        assert done.status_code == 200, done.text
    return owner


def request_for(service: Service, path: str, user: str = "") -> bytes:
    """Return the bytes of a GET request."""
    who = f"Authorization: Bearer {service.token(user)}\r\n" if user else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{who}\r\n".encode()


@contextmanager
def asking(
    service: Service, times: int, path: str, user: str = "", *, address: str = ""
) -> Iterator[list[socket.socket]]:
    """Send a request on each of `times` connections from `address`, and read no response."""
    with ExitStack() as stack:
        readers = []
        for _ in range(times):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            reader.settimeout(20)
            reader.bind((address, 0))
            reader.connect(address_of(service))
            reader.sendall(request_for(service, path, user))
            readers.append(reader)
        yield readers


def count_statuses(readers: list[socket.socket]) -> Counter[int]:
    """Count the statuses of the responses, and leave their bytes in the sockets."""
    return Counter(int(reader.recv(12, socket.MSG_PEEK).split()[1]) for reader in readers)
