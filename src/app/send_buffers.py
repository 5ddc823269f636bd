"""What the kernel keeps of an answer that its reader does not take, and for how long.

Both are options that connections inherit from the socket that listens (socket(7), tcp(7)). granian 2.8 opens
that socket after the application has started, and lets nobody set them: so it is looked for among the
descriptors of the process. docs/decisions/0013-slow-readers-and-senders.md says why.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from stat import S_ISSOCK
from typing import Final

import structlog

from app.supervision import MAIN_PROCESS

log = structlog.get_logger()

SEND_BUFFER: Final = (
    128 * 1024
)  # bytes; the kernel counts its own needs besides, and takes up to twice as many
TAKEN_WITHIN: Final = 30  # seconds in which a reader takes something, or its connection is cut
DESCRIPTORS: Final = Path("/proc/self/fd")
LOOK: Final = 0.02  # seconds between looks for the socket
LOOKS: Final = 500


@asynccontextmanager
async def limited_send_buffers(port: int) -> AsyncIterator[None]:
    """Limit them for a worker of `app serve` that is about to listen. Under another server nothing is set."""
    if MAIN_PROCESS not in os.environ or sys.platform != "linux":
        yield
        return
    looking = asyncio.create_task(_limit_once_it_listens(port))
    try:
        yield
    finally:
        looking.cancel()


async def _limit_once_it_listens(port: int) -> None:
    for _ in range(LOOKS):
        if _limit(port):
            return
        await asyncio.sleep(LOOK)
    log.warning("send buffers are not limited: no socket listens", port=port)


def _limit(port: int) -> bool:
    """Set the options on the socket of this process that listens there, if it does by now."""
    for number in [int(entry.name) for entry in DESCRIPTORS.iterdir()]:
        with suppress(OSError):  # it was closed in between
            if S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as found:
                    if _listens(found, port):
                        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
                        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKEN_WITHIN * 1000)
                        return True
    return False


def _listens(found: socket.socket, port: int) -> bool:
    if found.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    listens = bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    return listens and found.getsockname()[1] == port
