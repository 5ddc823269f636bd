"""`app serve`: the production server (`docs/decisions/0003-server.md` says why this one)."""

import argparse
import os
import secrets
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server.mp import MPServer

from app.cli.descriptors import connections_within_limit
from app.cli.exposing import exposing
from app.cli.preflight import checked
from app.settings.environment import environment
from app.supervision import DRAIN, LEAVE, MAIN_PROCESS

LEAVE_AGAIN: Final = 0.2  # seconds
HEAD_MAX: Final = 16 * 1024  # bytes; a token has at most 8
HEAD_TIMEOUT: Final = 10_000  # milliseconds for a whole head, and for a connection to lie idle
BACKLOG: Final = 4096  # connections that wait to be taken, in the kernel (which may allow fewer: somaxconn)


class Server(MPServer):
    """granian, which takes its leave before it stops."""

    shutdown_delay = 0  # seconds

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop after the delay; at once where SIGINT asks for it, or whoever asks again."""
        delay, self.shutdown_delay = self.shutdown_delay, 0
        if args[:1] == (signal.SIGTERM,) and delay:
            threading.Thread(target=self._take_leave, args=(delay,), daemon=True).start()
        else:
            super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]  # granian's

    def _take_leave(self, seconds: int) -> None:
        """Let the workers know, again and again: one may be starting just now."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for worker in self.wrks:
                with suppress(ProcessLookupError):
                    os.kill(worker.inner.pid, LEAVE)
            time.sleep(min(left, LEAVE_AGAIN))
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]  # granian's


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "serve",
        help="serve the API",
        description="Serve the API. Everything is set by the environment or `.env`: `.env.example` lists it.",
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Serve until told to stop; whatever can be known to be wrong is told before."""
    settings, warnings = checked(environment())
    connections, few = connections_within_limit(settings.pool_size)
    for warning in (*warnings, *filter(None, [few])):
        print(f"warning: {warning}", file=sys.stderr)
    listening = settings.listening
    os.environ[MAIN_PROCESS] = str(os.getpid())
    signal.signal(LEAVE, signal.SIG_IGN)  # and so do workers, until they listen
    if settings.observing.log_user_key is None:  # one for all workers, also those that replace others
        os.environ["LOG_USER_KEY"] = secrets.token_urlsafe(32)
    server = Server(
        "app.main:app",
        interface=Interfaces.ASGI,
        address=listening.host,
        port=listening.port,
        workers=listening.workers,
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=connections,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT, max_buffer_size=HEAD_MAX),
        log_enabled=False,  # the service speaks for itself, one event a line
    )
    server.shutdown_delay = listening.shutdown_delay
    with exposing(settings.observing):
        server.serve()
    return 0
