"""`app serve`: the production server (`docs/decisions/0003-server.md` says why this one)."""

import argparse
import os
import secrets
import sys
from typing import Any, Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings

from app.cli.exposing import exposing
from app.cli.preflight import checked
from app.settings.environment import environment

HEAD_MAX: Final = 16 * 1024  # bytes; a token has at most 8
HEAD_TIMEOUT: Final = 75_000  # milliseconds for a whole head, and for a connection to lie idle
DRAIN: Final = 10  # seconds for requests under way when told to stop


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
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    listening = settings.listening
    if settings.observing.log_user_key is None:  # one for all workers, also those that replace others
        os.environ["LOG_USER_KEY"] = secrets.token_urlsafe(32)
    server = Granian(
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
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT, max_buffer_size=HEAD_MAX),
        log_enabled=False,  # the service speaks for itself, one event a line
    )
    with exposing(settings.observing):
        server.serve()
    return 0
