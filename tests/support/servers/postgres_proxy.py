"""A wire to PostgreSQL that can hold a COMMIT's confirmation back: done over there, and not known here."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONFIRMED = b"C\x00\x00\x00\x0bCOMMIT\x00"


@dataclass
class Wire:
    """Forwards everything, until a test makes it hold."""

    url: str
    holding: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(
        default_factory=threading.Event
    )  # a COMMIT was confirmed, and is not passed on
    asked: list[bytes] = field(default_factory=list)  # what was sent to the database
    _ends: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """Close every connection that there is."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def join(self, client: socket.socket, server: socket.socket) -> None:
        """Pass bytes on in both directions."""
        self._ends += [client, server]
        for source, target in ((client, server), (server, client)):
            heard = self.asked if source is client else []
            threading.Thread(target=self._pass_on, args=(source, target, heard), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, heard: list[bytes]) -> None:
        with source, suppress(OSError):
            while data := source.recv(65536):
                heard.append(data)
                if self.holding.is_set() and CONFIRMED in data:
                    self.held.set()
                    continue
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(database_url: str) -> Iterator[Wire]:
    """Listen, and connect each client to the database."""
    there = urlsplit(database_url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        wire = Wire(database_url.replace(f"{there.hostname}:{there.port}", f"127.0.0.1:{port}"))

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    wire.join(client, socket.create_connection((there.hostname or "", there.port or 0)))

        threading.Thread(target=accept, daemon=True).start()
        yield wire
        wire.cut()
        listener.shutdown(socket.SHUT_RDWR)
