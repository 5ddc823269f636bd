"""A running app with the API behind it. A test can read the databases of both."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dev.postgres import PostgresServer
from tests.support.servers.service import serving


@dataclass
class Site:
    """The URL of the app, and the servers behind it."""

    url: str  # of the app, for browsers
    folder: Path
    postgres: PostgresServer
    auth_database: str  # the name of Better Auth's database
    api_env: dict[str, str]
    sign_in_path: str = ""  # of the page with the sign-in form
    direct_url: str = (
        ""  # of a second build of the app. It calls the API directly; the API has another origin
    )
    running: ExitStack = field(default_factory=ExitStack)  # the API, while it runs

    @property
    def api_port(self) -> int:
        return int(self.api_env["PORT"])

    def start_api(self) -> None:
        """Start the API, always at the same port."""
        self.running.enter_context(serving(self.api_env, self.folder))

    def stop_api(self) -> None:
        """Stop the API."""
        self.running.close()

    def titles_of(self, email: str) -> list[str]:
        """Return the titles of a person's tasks, those in the trash too, oldest first, read from the database."""
        user = self.postgres.query(
            f"COPY (SELECT id FROM \"user\" WHERE email = '{email}') TO STDOUT", self.auth_database
        )
        assert user, f"nobody has the address {email}"
        titles = self.postgres.query(
            f"COPY (SELECT title FROM tasks WHERE user_id = '{user}' ORDER BY id) TO STDOUT",
            self.api_env["DATABASE_URL"].rpartition("/")[2],
        )
        return titles.splitlines()

    def end_sessions(self, email: str) -> None:
        """Delete a person's sessions from Better Auth's database."""
        self.postgres.query(
            f'DELETE FROM session USING "user" WHERE "userId" = "user".id AND email = \'{email}\'',
            self.auth_database,
        )
