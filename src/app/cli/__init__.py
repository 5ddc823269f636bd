"""`app`: serve | migrate | purge | openapi | token. Each verb explains itself with `--help`."""

import argparse
import sys
from collections.abc import Sequence

from app.cli import document, migrations, purging, serving, tokens
from app.settings import SettingsError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb. A wrong setting ends it with one message that names them all, and status 1."""
    parser = argparse.ArgumentParser(prog="app", description="Taskward: the task API behind Better Auth.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb in (serving, migrations, purging, document, tokens):
        verb.add_to(verbs)
    chosen = parser.parse_args(arguments)
    try:
        sys.exit(chosen.run(chosen))
    except SettingsError as error:
        sys.exit(f"Taskward cannot start, because of its settings:\n{error}")
    except KeyboardInterrupt:
        sys.exit(130)
