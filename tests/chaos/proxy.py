"""A TCP proxy that can stop, slow down or drop what it forwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

from tests.support.servers.tcp import listening

DRIP: Final = 0.05  # seconds for each byte


@dataclass
class Proxy:
    """Connects its clients to its targets in turn.

    `behaviour` is `pass`, `hold` (forwards nothing), `drip` (forwards replies byte by byte) or `mute` (drops replies).
    """

    targets: list[int]  # ports
    port: int = 0
    behaviour: str = "pass"
    _turns: "cycle[int]" = field(init=False)
    _ends: "set[asyncio.StreamWriter]" = field(default_factory=set)

    def __post_init__(self) -> None:
        self.aim(self.targets)

    def aim(self, targets: list[int]) -> None:
        """Send new connections to these ports; existing connections stay where they are."""
        self.targets, self._turns = targets, cycle(targets)

    async def cut(self) -> None:
        """Abort all connections."""
        for end in tuple(self._ends):
            end.transport.abort()

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client to a target, and forward bytes in both directions."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", next(self._turns))
        except (OSError, StopIteration):
            writer.close()
            return
        self._ends |= {writer, far_writer}
        await asyncio.gather(
            self._pass_on(reader, far_writer), self._pass_on(far_reader, writer, is_reply=True)
        )
        self._ends -= {writer, far_writer}

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_reply: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                while self.behaviour == "hold":  # noqa: ASYNC110 - a test switches it
                    await asyncio.sleep(0.01)
                if is_reply and self.behaviour == "mute":
                    continue
                while is_reply and self.behaviour == "drip" and data:
                    target.write(data[:1])
                    data = data[1:]
                    await asyncio.sleep(DRIP)
                target.write(data)
                await target.drain()
        with suppress(OSError):
            target.close()


@asynccontextmanager
async def proxy_to(*targets: int) -> AsyncIterator[Proxy]:
    """Listen, and connect each client to the next target."""
    proxy = Proxy(list(targets))
    async with listening(proxy.join) as proxy.port:
        yield proxy
