"""The Next.js app of docs/front-ends.md with its Better Auth, the API and PostgreSQL."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.postgres import PostgresServer, free_port
from tests.e2e.front_ends import apps
from tests.e2e.front_ends.documentation import Section
from tests.e2e.front_ends.site import Site
from tests.support.log_search import LOGS
from tests.support.servers.migrated import migrated_database

NO_SECRETS = {"BETTER_AUTH_SECRET": "", "BETTER_AUTH_URL": "", "DATABASE_URL": ""}  # a build must need none


@dataclass
class NextApp:
    """A built app, and the settings of its servers."""

    folder: Path
    port: int
    postgres: PostgresServer
    auth_database: str  # the name of Better Auth's database
    api_env: dict[str, str]
    app_env: dict[str, str]  # variables of the Next.js server besides those of `.env.local`


async def build(postgres: PostgresServer, folder: Path, section: Section, oauth_url: str) -> NextApp:
    """Make the app by the commands and files of the documentation, up to `next build`."""
    port, api_port = free_port(), free_port()
    tasks, people = await migrated_database(postgres), postgres.new_database()
    secret = secrets.token_urlsafe(32)
    LOGS.note(secret)
    settings = {
        "BETTER_AUTH_URL": f"http://localhost:{port}",
        "BETTER_AUTH_SECRET": secret,
        "DATABASE_URL": people,
        "TASKS_URL": f"http://127.0.0.1:{api_port}",
    }
    shown = section.files[".env.local"].splitlines()
    named = {line.partition("=")[0] for line in shown if line and line[0] != "#"}
    assert named == set(settings), "the documentation must set the same variables as this test"
    written = "".join(f"{name}={value}\n" for name, value in settings.items())
    await apps.install("next")
    apps.make_app("next", folder, Section({**section.files, ".env.local": written}))
    for command in apps.unchanged_commands(section):
        await apps.run(command, folder)
    team = {"TEST_OAUTH_URL": oauth_url}
    await apps.run("node --env-file=.env.local --import tsx scripts/migrate-team.mts", folder, team)
    await apps.run("npm run build", folder, {**NO_SECRETS, "NEXT_PUBLIC_TASKS_URL": settings["TASKS_URL"]})
    api = {
        "DATABASE_URL": tasks,
        "BETTER_AUTH_URL": settings["BETTER_AUTH_URL"],
        "PORT": str(api_port),
        "LOG_FORMAT": "json",
    }
    return NextApp(folder, port, postgres, people.rpartition("/")[2], api, team)


@asynccontextmanager
async def running(app: NextApp, folder: Path, *, url: str = "") -> AsyncIterator[Site]:
    """Run the app and the API until the block ends; `url` is the app's address for browsers if a proxy is in front."""
    own_url = f"http://localhost:{app.port}"
    command = f"npx next start --port {app.port}"
    async with apps.started(command, app.folder, f"{own_url}/api/auth/ok", app.app_env):
        site = Site(
            url or own_url, folder, app.postgres, app.auth_database, app.api_env, sign_in_path="/sign-in"
        )
        with site.running:
            site.start_api()
            yield site
