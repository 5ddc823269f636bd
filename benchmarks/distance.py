"""A proxy that simulates a distant server: it passes bytes on with a delay, in both directions.

`python -m benchmarks.distance PORT SECONDS` prints the port that leads to PORT.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvloop

from dev.children import prepare


@contextmanager
def delaying_proxy(port: int, seconds: float) -> Iterator[int]:
    """Start the proxy and yield its port. The CPU of the proxy is not part of any figure."""
    command = [sys.executable, "-m", __name__, str(port), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=prepare()) as proxy:  # noqa: S603, PLW1509 - ours, no threads
        assert proxy.stdout is not None  # noqa: S101 - it is piped
        try:
            yield int(proxy.stdout.readline())
        finally:
            proxy.terminate()


async def _serve(port: int, seconds: float) -> None:
    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, far_writer, seconds), _pass_on(far_reader, writer, seconds))

    server = await asyncio.start_server(join, "127.0.0.1")
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    later: Callable[..., object] = asyncio.get_running_loop().call_later
    with suppress(OSError):
        while data := await reader.read(65536):
            later(seconds, writer.write, data)  # uvloop runs timers of equal times in their order
    later(seconds, writer.close)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
