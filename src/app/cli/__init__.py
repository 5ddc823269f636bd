"""The command line `app`: serve | migrate | purge | resync | openapi | token. Each verb has `--help`."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Final

from app import log_output
from app.settings import SettingsError, near_misses
from app.settings.environment import ENV_FILE, environment

VERBS: Final = ("serve", "migrate", "purge", "resync", "openapi", "token")
"""Each verb is a module of this package. Only the one that runs is imported: importing all takes a second."""

_WITHOUT_HTTP: Final = {"migrate", "purge", "resync"}
"""Verbs that do not need Litestar."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}  # seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb. Invalid settings end it with status 1 and one message that lists them all."""
    if sys.stdout is None:  # closed: the next file to be opened would get descriptor 1, and so all output
        sys.exit("Taskward cannot start: standard output is closed: open it, or send it to /dev/null")
    log_output.raise_on_failure()
    try:
        try:
            _run(arguments)
        finally:
            sys.stdout.flush()
    except log_output.CannotWrite as error:
        sys.exit(f"app: standard output cannot be written ({error})")


def parse_seconds(text: str) -> int:
    """Parse an option that is a time, such as 90s, 15m, 12h or 30d."""
    if not re.fullmatch(r"[1-9][0-9]{0,4}[smhd]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 90s, 15m, 12h or 30d")
    return int(text[:-1]) * _UNITS[text[-1]]


def _run(arguments: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="app", description="Taskward: the task API behind Better Auth.")
    parser.add_argument(
        "--version", action="version", version=f"taskward {version('taskward')} (Python {python_version()})"
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = [name for name in words[:1] if name in VERBS]  # empty: no verb, or an unknown one
    if not _WITHOUT_HTTP.isdisjoint(chosen):
        # advanced_alchemy imports Litestar if it can, which takes a quarter of the start of these verbs.
        sys.modules.setdefault("litestar", None)  # type: ignore[arg-type]  # None: it cannot be imported
    modules = [] if words[:1] == ["--version"] else chosen or VERBS
    for name in modules:
        module = import_module(f"app.cli.{name}")
        module.add_to(verbs)
        verb = verbs.choices[name]
        verb.set_defaults(run=module.run)
        verb.add_argument("--env-file", metavar="FILE", help="read settings from FILE, and not from .env")
    namespace = parser.parse_args(words)
    if namespace.env_file:
        os.environ[ENV_FILE] = str(Path(namespace.env_file).absolute())
    try:
        sys.exit(namespace.run(namespace))
    except SettingsError as error:
        with suppress(SettingsError):  # the working directory may have been deleted
            error = SettingsError([*error.errors, *near_misses(environment())])
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
