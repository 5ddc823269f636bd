"""The plan of `make run`: which parts to start, decided from the environment before any start."""

import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.cli.preflight import port_errors
from app.settings import Settings, SettingsError
from app.settings.environment import EnvironmentReader, number
from app.settings.server import read_server
from dev.steps import CannotRun

AUTH_SETTINGS = ("BETTER_AUTH_URL", "NEON_AUTH_URL", "JWKS_URL")
NODE_OLDEST = (20, 19)  # Vite, which builds the page, needs it
PLACEHOLDER = "postgresql://taskward@127.0.0.1/taskward"  # until the embedded database is started


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of `make run` with their commands and settings."""

    embedded: bool  # whether `make run` starts a PostgreSQL
    node: str | None  # the program that runs Better Auth; None: `make run` does not start it
    no_node: str | None  # why Better Auth cannot run, if `make run` should start it
    auth_port: int
    host: str
    port: int
    env: dict[str, str]  # for the API; DATABASE_URL is a placeholder if `embedded`


def plan(given: Mapping[str, str], state: Path) -> Plan:
    """Decide what `make run` starts.

    Raises:
        CannotRun: the message names everything that is wrong with the environment.
    """
    env = dict(given)
    own_auth = not any(env.get(name) for name in AUTH_SETTINGS)
    embedded = not env.get("DATABASE_URL")
    node, no_node = find_node() if own_auth else (None, None)
    reader = EnvironmentReader(env)
    auth_port = reader.read("AUTH_PORT", number(1, 65535), 3000)
    if own_auth:
        env.setdefault("BETTER_AUTH_SECRET", read_or_make_secret(state))
        auth_url = f"http://localhost:{auth_port}"
        # Without Node.js there is no key set: the API trusts only the secret, with which `app token` signs.
        env |= {"BETTER_AUTH_URL": auth_url} if node else {"JWT_ISSUER": auth_url, "JWT_AUDIENCE": auth_url}
        env.setdefault("CORS_ORIGINS", auth_url)
    if embedded:
        env["DATABASE_URL"] = PLACEHOLDER
    errors = reader.errors
    try:
        Settings.from_env(env)
    except SettingsError as error:
        errors += error.errors
    listening = read_server(EnvironmentReader(env))
    errors += port_errors(env)
    if node and not is_free(auth_port):
        errors.append(f"AUTH_PORT {auth_port} is used by another program: stop it, or choose another number")
    if node and auth_port == listening.port:
        errors.append(f"AUTH_PORT {auth_port} is the same as PORT: choose another number for one of them")
    if errors:
        raise CannotRun("\n".join(errors))
    return Plan(embedded, node, no_node, auth_port, listening.host, listening.port, env)


def find_node() -> tuple[str | None, str | None]:
    """Return the path of Node.js and None, or None and why it cannot be used."""
    oldest = ".".join(map(str, NODE_OLDEST))
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None, f"Node.js {oldest} or newer (with npm) is not installed: install it to sign in"
    printed = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    version = re.match(r"v(\d+)\.(\d+)", printed)
    if version is None or (int(version[1]), int(version[2])) < NODE_OLDEST:
        return None, f"Node.js is {printed.strip() or 'broken'}: install {oldest} or newer to sign in"
    return node, None


def read_or_make_secret(state: Path) -> str:
    """Return the random secret of this state folder. Make it if it is missing."""
    file = state / "secret"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(48))
    return file.read_text().strip()


def is_free(port: int) -> bool:
    """Return whether no program listens at a port of 127.0.0.1."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
