"""Limits on a response that its client does not read: how much the kernel buffers, and for how long.

Connections inherit both options from the listening socket (socket(7), tcp(7)). granian 2.8 opens that socket
after the application has started, and has no setting for them. So this module finds the socket among the
descriptors of the process. docs/decisions/0013-slow-readers-and-senders.md gives the reasons.
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

SEND_BUFFER: Final = 128 * 1024  # bytes; with its own overhead the kernel takes up to twice as many
USER_TIMEOUT: Final = 30  # seconds after which the kernel cuts a connection whose client reads nothing
DESCRIPTORS: Final = Path("/proc/self/fd")
CHECK_INTERVAL: Final = 0.02  # seconds between two checks for the socket
CHECKS_MAX: Final = 500  # 10 seconds


@asynccontextmanager
async def limited_send_buffers(port: int) -> AsyncIterator[None]:
    """Set both limits in a worker of `app serve` once it listens. Other servers are left alone."""
    if MAIN_PROCESS not in os.environ or sys.platform != "linux":
        yield
        return
    limiting = asyncio.create_task(_limit_once_it_listens(port))
    try:
        yield
    finally:
        limiting.cancel()


async def _limit_once_it_listens(port: int) -> None:
    for _ in range(CHECKS_MAX):
        if _limit(port):
            return
        await asyncio.sleep(CHECK_INTERVAL)
    log.warning("send buffers are not limited: no socket listens", port=port)


def _limit(port: int) -> bool:
    """Set the options on the socket that listens on this port. Return whether there is one yet."""
    for number in [int(entry.name) for entry in DESCRIPTORS.iterdir()]:
        with suppress(OSError):  # the descriptor was closed in between
            if S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as found:
                    if _listens(found, port):
                        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
                        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT * 1000)
                        return True
    return False


def _listens(found: socket.socket, port: int) -> bool:
    if found.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    listens = bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    return listens and found.getsockname()[1] == port
