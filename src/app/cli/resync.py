"""`app resync`: after a restore, let every client read all changes again."""

import argparse
from typing import Any

from app.cli.maintained_database import maintain
from app.infra.resync import raise_revisions


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "resync",
        help="after a restore: let every client read all changes again",
        description="Make every token of changes and every ETag of a list invalid, and print the number of "
        "people. Run it after a database was restored, and after a rolling upgrade from a version without "
        "changes. It may run beside the service, and twice. Restart `app serve` after it, unless LIVE_STORE "
        "is set for both. Uses DATABASE_URL_DIRECT, or DATABASE_URL without `-pooler`.",
    )
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    """Run the verb; return its exit status."""
    count = maintain("resync", raise_revisions, outcome="run it again: perhaps not all was done")
    print(f"the changes of {count} {'person' if count == 1 else 'people'} begin again")
    print("restart `app serve` now, unless LIVE_STORE is set for both: it does not know of this yet")
    return 0
