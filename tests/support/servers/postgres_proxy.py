"""A TCP proxy in front of PostgreSQL or another server. It can drop the confirmation of a write, or everything."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONFIRMED = b"SELECT 1\x00Z\x00\x00\x00\x05I"
"""The last bytes that PostgreSQL sends for a write with an Idempotency-Key: one row, and no transaction is open."""


@dataclass
class TcpProxy:
    """Forwards everything, until a test sets `drop_confirmations` or `drop_everything`."""

    url: str
    drop_confirmations: threading.Event = field(default_factory=threading.Event)
    confirmation_dropped: threading.Event = field(default_factory=threading.Event)
    drop_everything: threading.Event = field(default_factory=threading.Event)  # connections stay open
    sent: list[bytes] = field(default_factory=list)  # what clients sent to the server
    round_trips: list[socket.socket] = field(default_factory=list)  # the client of each round trip, in order
    _ends: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """Close every open connection."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def connect(self, client: socket.socket, server: socket.socket) -> None:
        """Pass bytes on in both directions."""
        self._ends += [client, server]
        answered = threading.Event()  # set while the last bytes came from the server
        answered.set()

        def observe_client(data: bytes) -> None:
            self.sent.append(data)
            if answered.is_set():
                answered.clear()
                self.round_trips.append(client)

        for source, target, observe in (
            (client, server, observe_client),
            (server, client, lambda _: answered.set()),
        ):
            threading.Thread(target=self._pass_on, args=(source, target, observe), daemon=True).start()

    def _pass_on(
        self, source: socket.socket, target: socket.socket, observe: Callable[[bytes], None]
    ) -> None:
        with source, suppress(OSError):
            while data := source.recv(65536):
                observe(data)
                if self.drop_everything.is_set():
                    continue
                if self.drop_confirmations.is_set() and CONFIRMED in data:
                    self.confirmation_dropped.set()
                    continue
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def tcp_proxy(url: str) -> Iterator[TcpProxy]:
    """Listen, and connect each client to the server of this URL."""
    there = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        proxy = TcpProxy(url.replace(f"{there.hostname}:{there.port}", f"127.0.0.1:{port}"))

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    try:
                        server = socket.create_connection((there.hostname or "", there.port or 0))
                    except OSError:
                        client.close()
                    else:
                        proxy.connect(client, server)

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.cut()
            listener.shutdown(socket.SHUT_RDWR)
