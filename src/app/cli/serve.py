"""`app serve`: the production server, granian. `docs/decisions/0003-server.md` gives the reasons."""

import argparse
import asyncio
import os
import secrets
import signal
import sys
from importlib.metadata import version
from typing import Any, Final

import structlog
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings

from app import log_output, logs
from app.cli.descriptors import connections_within_limit
from app.cli.main_process import Server, block_signals
from app.cli.metrics_endpoint import expose_metrics
from app.cli.preflight import check_database, check_settings
from app.live.change_marks import share_marks
from app.settings import Settings, SettingsError
from app.settings.environment import environment, pass_to_workers, read_env_file_anew
from app.supervision import DRAIN, LEAVE, MAIN_PROCESS

log = structlog.get_logger()

HEAD_MAX: Final = 16 * 1024  # bytes of a request line and its headers; a token has at most 8 KB
HEAD_TIMEOUT: Final = 10_000  # milliseconds until all headers have arrived, also on an idle connection
BACKLOG: Final = 4096  # connections in the kernel's accept queue (somaxconn may allow fewer)


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verbs.add_parser(
        "serve",
        help="serve the API",
        description="Serve the API. Everything is set by the environment or `.env`: `.env.example` lists it.",
    )


def run(_: argparse.Namespace) -> int:
    """Check the settings, then serve until a stop signal."""
    variables = read_env_file_anew()
    settings, warnings = check_settings(environment(variables))
    pass_to_workers(variables)
    connections, too_few = connections_within_limit(settings.pool_size)
    for warning in (*warnings, *filter(None, [too_few])):
        print(f"warning: {warning}", file=sys.stderr)
    server = settings.server
    os.environ[MAIN_PROCESS] = str(os.getpid())
    signal.signal(LEAVE, signal.SIG_IGN)  # inherited by workers until they install their handler
    if settings.telemetry.log_user_key is None:  # one key for all workers, also for replacements
        os.environ["LOG_USER_KEY"] = secrets.token_urlsafe(32)
    main_process = Server(
        "app.main:app",
        interface=Interfaces.ASGI,
        address=server.host,
        port=server.port,
        workers=server.workers,
        respawn_failed_workers=True,
        workers_kill_timeout=DRAIN,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=connections,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT, max_buffer_size=HEAD_MAX),
        log_enabled=False,  # the service writes its own log
    )
    main_process.shutdown_delay = server.shutdown_delay
    main_process.errors = _settings_errors
    log_output.never_fail()
    logs.configure(settings.log_level, settings.log_format)
    main_process.on_startup(lambda: _log_start(settings))
    block_signals()
    share_marks()
    with expose_metrics(settings, restarts=lambda: main_process.restarts) as main_process.after_replacing:
        main_process.serve()
    return 0


def _settings_errors() -> list[str]:
    """Return the errors of the current settings. Without any, new workers start with these settings."""
    try:
        variables = read_env_file_anew()
        settings = Settings.from_env(environment(variables))
    except SettingsError as error:
        return error.errors
    errors, _ = asyncio.run(check_database(settings.database, settings.database_direct))
    if not errors:
        pass_to_workers(variables)
    return errors


def _log_start(settings: Settings) -> None:
    """Log where the service listens, its issuer and its database."""
    server = settings.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    log.info(
        "serving",
        url=f"http://{host}:{server.port}",
        workers=server.workers,
        issuer=settings.auth.issuer,
        database=settings.database.host,
        version=version("taskward"),
    )
