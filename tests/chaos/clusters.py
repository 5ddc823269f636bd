"""A PostgreSQL for each scenario, copied from one that was made and migrated once: `initdb` takes seconds."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.infra.migrate import upgrade
from app.settings.database_address import DatabaseAddress
from dev.postgres import PostgresServer

SETTINGS: Final = {
    "synchronous_commit": "on"
}  # what is acknowledged is written, so that it outlives a crash of the server


class Cluster:
    """The one that is copied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "cluster"
        self._made = PostgresServer(self._folder, durable=False)
        self._made.start()
        asyncio.run(upgrade(DatabaseAddress.parse(self._made.url)))
        self._made.stop()

    @contextmanager
    def copy(self, folder: Path, *through: str) -> Iterator[PostgresServer]:
        """Start a copy, and end it with all its data."""
        server = PostgresServer(folder, durable=False, settings=SETTINGS)
        shutil.copy(self._folder / "postgres.password", folder)
        subprocess.run(["/bin/cp", "-a", str(self._made.data), str(server.data)], check=True)  # owners too
        server.through = through
        try:
            server.start()
            yield server
        finally:
            server.remove()


@contextmanager
def a_place() -> Iterator[Path]:
    """Make a folder that PostgreSQL's user may enter, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="taskward-faults-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
