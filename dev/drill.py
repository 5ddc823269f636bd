"""`make drill`: back up and restore between two clusters made here, by the commands of docs/operations.md."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from app.domain.identity import UserId
from app.domain.task import NewTask
from app.domain.task_list import NEWEST
from app.domain.task_service import TaskService
from app.infra.migrations.run import upgrade
from app.infra.postgres.database import Database
from app.infra.postgres.row_security_check import find_gaps
from app.infra.tasks import NeonTaskRepository
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer, temporary

PAGE: Final = Path(__file__).parent.parent / "docs" / "operations.md"
TASKS: Final = {"ann": 3, "bob": 2, "carol": 1}  # tasks of each person
AGE: Final = "1h"  # the last step deletes tasks that were in the trash for longer


class DrillFailed(Exception):
    """A command failed, or the restored database differs from the original; the message says how."""


def main() -> int:
    """Run the drill, and print each step."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with temporary(folder / "old") as old, temporary(folder / "new") as new:
            drill(old, new, folder)
    return 0


def drill(old: PostgresServer, new: PostgresServer, folder: Path) -> str:
    """Back up a database of `old`, restore it into `new`, check it, and return its address.

    Raises:
        DrillFailed: a command failed, a count differs, row-level security has a gap, or the purge is wrong.
    """
    source, target = old.new_database(), new.new_database()
    count = f"{sum(TASKS.values())} tasks of {len(TASKS)} people"
    _print(f"PostgreSQL {old.query('SHOW server_version')} with {count}")
    asyncio.run(_fill(source))
    old.query("UPDATE tasks SET trashed_at = now() - interval '1 day' WHERE title = 'carol 0'", _name(source))
    commands = re.findall(r"^```sh\n(.*?)^```$", _section(), re.MULTILINE | re.DOTALL)
    env = {
        "OWNER_URL": source,
        "NEW_URL": target,
        "PATH": f"{new.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
    }
    for command in commands:
        _run(command, env, folder)
    asyncio.run(_check(target))
    _print(f"counts and row-level security are as before: PostgreSQL {new.query('SHOW server_version')}")
    _run(f'DATABASE_URL="$NEW_URL" DATABASE_URL_DIRECT= app purge --older-than {AGE}', env, folder)
    if new.query("SELECT count(*) FROM tasks", _name(target)) != str(sum(TASKS.values()) - 1):
        raise DrillFailed("app purge did not delete the one task in the trash")
    _print("the purge works, too")
    return target


async def _fill(url: str) -> None:
    await upgrade(DatabaseAddress.parse(url))
    database = Database(DatabaseAddress.parse(url))
    await database.open()
    for owner, count in TASKS.items():
        service = TaskService(
            NeonTaskRepository(database, owner=UserId(owner)), lambda: datetime.now(UTC), max_tasks=100
        )
        for number in range(count):
            await service.create(NewTask(title=f"{owner} {number}", tags=[owner]))
    await database.close()


async def _check(url: str) -> None:
    """Check what row-level security alone shows each person, and what the service shows ann."""
    connection = await asyncpg.connect(url)
    try:
        if found := await find_gaps(connection):
            raise DrillFailed(f"row-level security has a gap: {found[0]}")
        for owner, count in TASKS.items():
            async with connection.transaction():
                await connection.execute("SELECT set_config('app.user_id', $1, true)", owner)
                seen = await connection.fetchval("SELECT count(*) FROM own_tasks")
            if seen != count:
                raise DrillFailed(f"row-level security shows {owner} {seen} tasks instead of {count}")
    finally:
        await connection.close()
    database = Database(DatabaseAddress.parse(url))
    await database.open()
    page = await NeonTaskRepository(database, owner=UserId("ann")).page(100, after=None, selection=NEWEST)
    await database.close()
    if page.json.count(b'"title":"ann ') != TASKS["ann"] or b"bob" in page.json:
        raise DrillFailed("the service does not show ann exactly her own tasks")


def _section() -> str:
    """Return the section of docs/operations.md with the commands."""
    return PAGE.read_text().split("\n## Backup and restore\n")[1].split("\n## ")[0]


def _run(command: str, env: dict[str, str], folder: Path) -> None:
    for line in command.strip().splitlines():
        print(f"  $ {line}", flush=True)
    done = subprocess.run(  # noqa: S603 - the commands of our own page
        ["/bin/bash", "-euo", "pipefail", "-c", command],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    print("".join(f"    {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
    if done.returncode:
        raise DrillFailed(f"the command failed: {done.stderr.strip() or done.stdout.strip()}")


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _print(sentence: str) -> None:
    print(f"✓ {sentence}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DrillFailed as failed:
        sys.exit(f"The drill failed: {failed}")
