"""`app purge`: permanently delete old tasks in the trash, and old stored responses."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from app.cli import parse_seconds
from app.cli.maintained_database import maintain
from app.infra.purge import delete_old_responses, purge_trash
from app.settings.database_address import DatabaseAddress


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "purge",
        help="permanently delete old tasks in the trash, for all owners",
        description="Permanently delete the tasks that were moved to the trash long ago, for all owners, and"
        " print their number. Uses DATABASE_URL_DIRECT, or DATABASE_URL without `-pooler`.",
    )
    parser.add_argument(
        "--older-than",
        type=parse_seconds,
        required=True,
        metavar="AGE",
        help="how long a task must have been in the trash: 30d or 12h",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the verb; return its exit status."""

    async def purge(address: DatabaseAddress) -> int:
        await delete_old_responses(address)
        return await purge_trash(address, before=datetime.now(UTC) - timedelta(seconds=arguments.older_than))

    count = maintain("purge", purge, outcome="nothing was deleted")
    print(f"{count} {'task' if count == 1 else 'tasks'} deleted")
    return 0
