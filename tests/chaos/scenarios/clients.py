"""Clients that disconnect in the middle of their body."""

import socket
import struct
import time
from typing import Final

from tests.chaos.harness import Harness, port_of, token
from tests.chaos.judge import BUSY_SECONDS, Allowed
from tests.chaos.scenario import scenario
from tests.support.processes import descriptors

GONE: Final = 200  # clients
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST, not by FIN


@scenario(
    "clients gone in the middle of their body", Allowed(outage=BUSY_SECONDS, slowest=2.0, share_during=1.0)
)
def client_gone(harness: Harness) -> None:
    with harness.serving() as service, harness.under_load(service):
        time.sleep(0.5)
        open_before = descriptors(service)
        with harness.fault():
            for number in range(GONE):
                leave(port_of(service), abruptly=bool(number % 2))
            time.sleep(1.0)
        more = descriptors(service) - open_before
        harness.promise(
            more <= 4, f"{GONE} clients disconnected; {more} more descriptors are open afterwards"
        )
        harness.promise('"status": 500' not in service.log.read_text(), "no 500 in the log")


def leave(port: int, *, abruptly: bool) -> None:
    """Announce a body of 99 bytes, send one byte, and close the connection."""
    head = f"POST /api/me/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token('leaver')}\r\n"
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode())
    if abruptly:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()
