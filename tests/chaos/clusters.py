"""PostgreSQL for the scenarios: a server is made and migrated once, and its data folder is copied."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from app.infra.migrations.run import upgrade
from app.settings.database_address import DatabaseAddress
from dev.postgres import LOGIN, PostgresServer

SETTINGS: Final = {"synchronous_commit": "on"}  # acknowledged writes survive a crash of the server


class Cluster:
    """The server whose data folder is copied, and a copy that most scenarios share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "cluster"
        self._stack = ExitStack()
        self._shared: PostgresServer | None = None
        self._template = PostgresServer(self._folder, durable=False)
        self._template.start()
        asyncio.run(upgrade(DatabaseAddress.parse(self._template.url)))
        self._template.stop()

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server that scenarios shared."""
        self._stack.close()

    @contextmanager
    def database(self, folder: Path, *, own_server: bool) -> Iterator[tuple[PostgresServer, str]]:
        """Yield the shared server, or a server of its own in the folder, and the URL of a new, migrated database on it."""
        if own_server:
            with self.copy(folder / "postgres") as server:
                yield server, server.url
            return
        if self._shared is None:
            self._shared = self._stack.enter_context(self.copy(self._folder / "shared"))
        yield self._shared, self._shared.new_database(template=LOGIN)

    @contextmanager
    def copy(self, folder: Path, *through: str) -> Iterator[PostgresServer]:
        """Start a copy, in this folder; after the block stop it and delete its data.

        `through` is the beginning of the server's command, for example of one that changes its environment.
        """
        server = PostgresServer(folder, durable=False, settings=SETTINGS)
        shutil.copy(self._folder / "postgres.password", folder)
        copy_with_owners = ["/bin/cp", "-a", str(self._template.data), str(server.data)]
        subprocess.run(copy_with_owners, check=True)
        server.through = through
        try:
            server.start()
            yield server
        finally:
            server.remove()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL's user may enter, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="taskward-faults-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
