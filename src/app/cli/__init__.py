"""`app`: serve | migrate | purge | openapi | token. Each verb explains itself with `--help`."""

import argparse
import os
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

VERBS: Final = ("serve", "migrate", "purge", "openapi", "token")
"""Each is a module here. Only the one that runs is imported: together they take a second."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb. A wrong setting ends it with one message that names them all, and status 1."""
    if sys.stdout is None:  # what is opened next would be written to in its place
        sys.exit("Taskward cannot start: standard output is closed: open it, or send it to /dev/null")
    log_output.fail_in_one_line()
    try:
        try:
            _run(arguments)
        finally:
            sys.stdout.flush()
    except log_output.CannotWrite as error:
        sys.exit(f"app: what it says cannot be written to standard output ({error})")


def _run(arguments: Sequence[str] | None) -> None:
    parser = argparse.ArgumentParser(prog="app", description="Taskward: the task API behind Better Auth.")
    parser.add_argument(
        "--version", action="version", version=f"taskward {version('taskward')} (Python {python_version()})"
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    given = list(sys.argv[1:] if arguments is None else arguments)
    for module in [name for name in given[:1] if name in VERBS] or VERBS:
        import_module(f"app.cli.{module}").add_to(verbs)
    for verb in verbs.choices.values():
        verb.add_argument("--env-file", metavar="FILE", help="read settings from FILE, and not from .env")
    chosen = parser.parse_args(given)
    if chosen.env_file:
        os.environ[ENV_FILE] = str(Path(chosen.env_file).absolute())
    try:
        sys.exit(chosen.run(chosen))
    except SettingsError as error:
        with suppress(SettingsError):  # of a folder that is gone
            error = SettingsError([*error.errors, *near_misses(environment())])
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
