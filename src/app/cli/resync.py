"""`app resync`: after a restore, let every client read all changes again."""

import argparse
from typing import Any

from app.cli.maintained_database import maintain
from app.infra.resync import raise_revisions


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verbs.add_parser(
        "resync",
        help="after a restore: let every client read all changes again",
        description="Make every token of changes and every ETag of a list invalid, and print the number of "
        "people. Run it after a database was restored, and after a rolling upgrade from a version without "
        "the change feed. It may run while the service runs, and more than once. Then restart `app serve`, "
        "unless the command and the service have the same LIVE_STORE. Uses DATABASE_URL_DIRECT, or "
        "DATABASE_URL without `-pooler`.",
    )


def run(_arguments: argparse.Namespace) -> int:
    """Run the verb; return its exit status."""
    count = maintain("resync", raise_revisions, outcome="run it again: perhaps not everything was done")
    print(f"the changes of {count} {'person' if count == 1 else 'people'} must be read again")
    print("restart `app serve` now, unless it has the same LIVE_STORE as this command")
    return 0
