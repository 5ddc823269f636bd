"""A wire to a server that can hold back the confirmation of a write, or lose everything that is sent."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONFIRMED = b"SELECT 1\x00Z\x00\x00\x00\x05I"
"""A statement returned one row, and its transaction has ended: the writes with a key end like this."""


@dataclass
class Wire:
    """Forwards everything, until a test makes it hold."""

    url: str
    holding: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(
        default_factory=threading.Event
    )  # a write was confirmed, and that is not passed on
    losing: threading.Event = field(default_factory=threading.Event)  # nothing arrives, and nothing is closed
    sent: list[bytes] = field(default_factory=list)  # what was sent to the database
    turns: list[socket.socket] = field(default_factory=list)  # the client of each round trip, in their order
    _ends: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """Close every connection that there is."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def join(self, client: socket.socket, server: socket.socket) -> None:
        """Pass bytes on in both directions."""
        self._ends += [client, server]
        answered = threading.Event()  # the server has spoken last
        answered.set()

        def hear_client(data: bytes) -> None:
            self.sent.append(data)
            if answered.is_set():
                answered.clear()
                self.turns.append(client)

        for source, target, hear in (
            (client, server, hear_client),
            (server, client, lambda _: answered.set()),
        ):
            threading.Thread(target=self._pass_on, args=(source, target, hear), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, hear: Callable[[bytes], None]) -> None:
        with source, suppress(OSError):
            while data := source.recv(65536):
                hear(data)
                if self.losing.is_set():
                    continue
                if self.holding.is_set() and CONFIRMED in data:
                    self.held.set()
                    continue
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    """Listen, and connect each client to the server at this address."""
    there = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        wire = Wire(url.replace(f"{there.hostname}:{there.port}", f"127.0.0.1:{port}"))

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    wire.join(client, socket.create_connection((there.hostname or "", there.port or 0)))

        threading.Thread(target=accept, daemon=True).start()
        yield wire
        wire.cut()
        listener.shutdown(socket.SHUT_RDWR)
