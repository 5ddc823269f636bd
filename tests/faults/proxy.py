"""A plain TCP proxy that knows nothing of what it passes on, and can hold it or let it drip."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

DRIP: Final = 0.05  # seconds for each byte
ASKING: Final = 0.1  # seconds between two questions whether a server is ready


@dataclass
class Proxy:
    """Passes on to its targets in turn. `behaviour` is pass, hold or drip."""

    targets: list[int]  # ports
    port: int = 0
    behaviour: str = "pass"
    _turns: "cycle[int]" = field(init=False)

    def __post_init__(self) -> None:
        self.aim(self.targets)

    def aim(self, targets: list[int]) -> None:
        """Send new connections there; old ones stay where they are."""
        self.targets, self._turns = targets, cycle(targets)

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on in both directions."""
        try:
            there = await asyncio.open_connection("127.0.0.1", next(self._turns))
        except (OSError, StopIteration):
            writer.close()
            return
        await asyncio.gather(self._pass_on(reader, there[1]), self._pass_on(there[0], writer, slow=True))

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, slow: bool = False) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                while self.behaviour == "hold":
                    await asyncio.sleep(0.01)
                while slow and self.behaviour == "drip" and data:
                    target.write(data[:1])
                    data = data[1:]
                    await asyncio.sleep(DRIP)
                target.write(data)
                await target.drain()
        with suppress(OSError):
            target.close()


@asynccontextmanager
async def proxy_to(*targets: int) -> AsyncIterator[Proxy]:
    """Listen, and join whoever connects."""
    proxy, tasks = Proxy(list(targets)), set[asyncio.Task[None]]()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.join(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
