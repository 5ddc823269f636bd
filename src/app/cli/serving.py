"""`app serve`: the production server (`docs/decisions/0003-server.md` says why this one)."""

import argparse
import sys
from typing import Any

from granian import Granian
from granian.constants import Interfaces

from app.cli.preflight import checked
from app.settings.environment import environment


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "serve",
        help="serve the API",
        description="Serve the API. Everything is set by the environment or `.env`: `.env.example` lists it.",
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings, warnings = checked(environment())
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    listening = settings.listening
    Granian(
        "app.main:app",
        address=listening.host,
        port=listening.port,
        interface=Interfaces.ASGI,
        workers=listening.workers,
        log_access=False,
    ).serve()
    return 0
