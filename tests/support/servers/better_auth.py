"""A real Better Auth on a real PostgreSQL. `web/test/server.ts` has its variants."""

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.settings.auth import AuthSettings
from dev.children import prepare
from dev.postgres import free_port
from tests.support.log_search import LOGS

WEB = Path(__file__).parents[3] / "web"
START_TIMEOUT = 60  # seconds
MAIL_TIMEOUT = 5  # seconds
REQUIRE = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
"""Defines `require` in a bundle of ES modules, for packages in CommonJS."""
NO_SETTINGS: Mapping[str, str] = {}
LISTENING = "listening"  # the first word of the line that the server prints when it accepts requests


@dataclass
class SignedIn:
    """A person with a session at Better Auth."""

    client: httpx.AsyncClient
    user_id: str
    session_token: str
    cookies: tuple[str, ...]  # values of `Set-Cookie`

    async def token(self) -> str:
        """Ask for a JWT, as a front end does."""
        response = await self.client.get(
            "/api/auth/token", headers={"authorization": f"Bearer {self.session_token}"}
        )
        assert response.status_code == 200, response.text
        token: str = response.json()["token"]
        return token


@dataclass
class BetterAuth:
    """A running server."""

    url: str
    secret: str
    client: httpx.AsyncClient
    pid: int
    database_url: str
    printed: list[str] = field(default_factory=list)  # the lines of its output so far

    @property
    def jwks_trust(self) -> AuthSettings:
        """Settings of a verifier that accepts tokens signed with the server's keys."""
        return AuthSettings(issuer=self.url, audience=self.url, jwks_url=f"{self.url}/api/auth/jwks")

    @property
    def secret_trust(self) -> AuthSettings:
        """Settings of a verifier that accepts tokens signed with the server's secret."""
        return AuthSettings(issuer=self.url, audience=self.url, secret=self.secret.encode())

    async def sign_up(self, name: str = "ann") -> SignedIn:
        """Make an account and sign in, as a client without cookies."""
        person = {
            "name": name,
            "email": f"{name}-{uuid4().hex}@example.com",
            "password": secrets.token_hex(12),
        }
        self.client.cookies.clear()
        response = await self.client.post("/api/auth/sign-up/email", json=person)
        assert response.status_code == 200, response.text
        session_token = response.headers["set-auth-token"]
        cookies = tuple(response.headers.get_list("set-cookie"))
        self.client.cookies.clear()
        return SignedIn(self.client, response.json()["user"]["id"], session_token, cookies)

    async def mailed_link(self, email: str) -> str:
        """Wait for a mail to this address, and return its link."""
        deadline = time.monotonic() + MAIL_TIMEOUT
        while True:
            for mail in reversed("\n".join(self.printed).split("mail | To: ")[1:]):
                if mail.startswith(f"{email}\n") and (link := re.search(r"mail \| (http\S+)", mail)):
                    return link[1]
            assert time.monotonic() < deadline, f"no mail to {email}"
            await asyncio.sleep(0.02)


def bundled_server() -> Path:
    """Bundle `web/test/server.ts` with everything that it imports, unless the bundle is up to date.

    The bundle starts in a fifth of the time, because Node.js reads one file instead of 800.
    `tests/e2e/test_sign_in_server.py` tests the start of `web/server.ts` itself.
    """
    bundle = WEB / "node_modules" / ".cache" / "test-server.mjs"
    sources = (*WEB.glob("*.ts"), WEB / "test" / "server.ts", WEB / "package-lock.json")
    if bundle.exists() and bundle.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return bundle
    bundle.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bundle.parent) as folder:
        new_bundle = Path(folder) / bundle.name
        command = [
            *("node_modules/.bin/esbuild", "test/server.ts", f"--outfile={new_bundle}"),
            *("--bundle", "--platform=node", "--format=esm", "--external:pg-native", "--sourcemap=inline"),
            f"--define:import.meta.dirname={json.dumps(str(WEB))}",  # where the page is
            f"--banner:js={REQUIRE}",
            "--log-level=error",
        ]
        began = time.time()
        subprocess.run(command, cwd=WEB, check=True)
        os.utime(new_bundle, (began, began))  # a source that is saved meanwhile is newer than the bundle
        new_bundle.replace(bundle)  # atomic, because several test workers may bundle at once
    return bundle


@asynccontextmanager
async def better_auth(
    database_url: str,
    *,
    api_url: str = "",
    port: int = 0,
    secret: str = "",
    settings: Mapping[str, str] = NO_SETTINGS,
    **variant: Any,
) -> AsyncIterator[BetterAuth]:
    """Start a server on its own database, and stop it at the end. To start it again, pass its port and secret.

    `settings` are environment variables; `variant` has options of `web/test/server.ts`.
    """
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules").exists():
        pytest.skip("Better Auth needs Node, and `make setup`")
    port, secret = port or free_port(), secret or secrets.token_urlsafe(32)
    url = f"http://localhost:{port}"
    LOGS.note(secret)
    env = {
        **os.environ,
        "AUTH_PORT": str(port),
        "BETTER_AUTH_URL": url,
        "BETTER_AUTH_SECRET": secret,
        "DATABASE_URL": database_url,
        "TRUSTED_ORIGINS": url,
        "TEST_VARIANT": json.dumps(variant),
        "API_URL": api_url,
        "AUTH_RATE_LIMIT": "off",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        *(node, "--enable-source-maps", await asyncio.to_thread(bundled_server)),
        cwd=WEB,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=prepare(on_parent_death=signal.SIGTERM),
    )
    assert process.stdout is not None
    printed: list[str] = []
    ready = asyncio.Event()

    async def read_output(lines: asyncio.StreamReader) -> None:
        async for line in lines:
            printed.append(line.decode().rstrip())
            if printed[-1].startswith(LISTENING):
                ready.set()
        ready.set()  # the server has ended

    reading = asyncio.create_task(read_output(process.stdout))
    try:
        await asyncio.wait_for(ready.wait(), START_TIMEOUT)
        assert any(line.startswith(LISTENING) for line in printed), "\n".join(printed)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            client.headers["host"] = f"localhost:{port}"
            yield BetterAuth(url, secret, client, process.pid, database_url, printed)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await reading
