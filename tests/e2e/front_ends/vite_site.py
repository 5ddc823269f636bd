"""The Vite app of docs/front-ends.md, with the sign-in server of `web/`, the API and PostgreSQL behind it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dev.postgres import PostgresServer, free_port
from tests.e2e.front_ends import apps
from tests.e2e.front_ends.documentation import Section
from tests.e2e.front_ends.site import Site
from tests.support.replacing import replace_each
from tests.support.servers.better_auth import better_auth
from tests.support.servers.migrated import migrated_database

DOCUMENTED_AUTH, DOCUMENTED_API = "http://localhost:3000", "http://127.0.0.1:8000"
"""The addresses of the two servers in the documentation's vite.config.ts."""


def replace_in(file: Path, old: str, new: str) -> None:
    """Replace a text that occurs once in a file."""
    file.write_text(replace_each(file.read_text(), {old: new}, file.name))


@asynccontextmanager
async def running(
    postgres: PostgresServer, folder: Path, documented: dict[str, Section]
) -> AsyncIterator[Site]:
    """Build the app as the documentation says, and run it with its servers.

    A second build, at `direct_url`, uses the packed client and calls the API directly, at another origin.
    """
    port, direct_port, api_port, auth_port = (free_port() for _ in range(4))
    url, direct_url = f"http://localhost:{port}", f"http://localhost:{direct_port}"
    auth_url, api_url = f"http://localhost:{auth_port}", f"http://127.0.0.1:{api_port}"
    app = folder / "my-app"
    section = documented["Vite"]
    section = Section({**section.files, **documented["Recipes"].files}, section.commands)
    await apps.install("vite")
    apps.make_app(
        "vite", app, section, {"vite.config.ts": {DOCUMENTED_AUTH: auth_url, DOCUMENTED_API: api_url}}
    )
    for command in apps.unchanged_commands(section):
        await apps.run(command, app)
    await apps.run("npm run lint -- --deny-warnings src && npm run build", app)
    await apps.run(f"npm install --prefer-offline {await apps.pack_client()}", app)
    shutil.rmtree(app / "src" / "taskward")
    for name in ("App.tsx", "messages.ts", "tanstack.tsx", "tasks.ts"):
        replace_in(app / "src" / name, '"./taskward"', '"taskward-client"')
    replace_in(app / "src" / "tasks.ts", 'baseUrl: ""', f'baseUrl: "{api_url}"')
    await apps.run("npx tsc -b && npx vite build --outDir direct", app)
    tasks, people = await migrated_database(postgres), postgres.new_database()
    api = {
        "DATABASE_URL": tasks,
        "BETTER_AUTH_URL": auth_url,
        "CORS_ORIGINS": direct_url,
        "PORT": str(api_port),
        "LOG_FORMAT": "json",
    }
    settings = {"TRUSTED_ORIGINS": f"{auth_url},{url},{direct_url}"}
    preview = "npx vite preview --strictPort --port"
    async with (
        better_auth(people, port=auth_port, settings=settings),
        apps.started(f"{preview} {port}", app, url),
        apps.started(f"{preview} {direct_port} --outDir direct", app, direct_url),
    ):
        site = Site(url, folder, postgres, people.rpartition("/")[2], api, direct_url=direct_url)
        with site.running:
            site.start_api()
            yield site
