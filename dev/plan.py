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

TRUST = ("BETTER_AUTH_URL", "NEON_AUTH_URL", "JWKS_URL")
NODE_OLDEST = 20
NOWHERE = "postgresql://taskward@127.0.0.1/taskward"  # until the embedded one is started


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of `make run` with their commands and settings."""

    embedded: bool  # a PostgreSQL of our own
    node: str | None  # the program that runs Better Auth; None: it is not run here
    no_node: str | None  # why it is not, if it should be
    auth_port: int
    host: str
    port: int
    env: dict[str, str]  # for the API; DATABASE_URL still to come if `embedded`


def plan(given: Mapping[str, str], state: Path) -> Plan:
    """Decide what `make run` starts.

    Raises:
        CannotRun: naming everything that is wrong with the environment.
    """
    env = dict(given)
    own_auth = not any(env.get(name) for name in TRUST)
    embedded = not env.get("DATABASE_URL")
    node, no_node = find_node() if own_auth else (None, None)
    reader = EnvironmentReader(env)
    auth_port = reader.read("AUTH_PORT", number(1, 65535), 3000)
    if own_auth:
        env.setdefault("BETTER_AUTH_SECRET", kept_secret(state))
        here = f"http://localhost:{auth_port}"
        # Without Node nobody serves keys: the secret alone is trusted, and `app token` signs with it.
        env |= {"BETTER_AUTH_URL": here} if node else {"JWT_ISSUER": here, "JWT_AUDIENCE": here}
        env.setdefault("CORS_ORIGINS", here)
    if embedded:
        env["DATABASE_URL"] = NOWHERE
    errors = reader.errors
    try:
        Settings.from_env(env)
    except SettingsError as error:
        errors += error.errors
    listening = read_server(EnvironmentReader(env))
    errors += port_errors(env)
    if node and not is_free(auth_port):
        errors.append(f"AUTH_PORT {auth_port} is used by another program: stop that, or set it to another")
    if node and auth_port == listening.port:
        errors.append(f"AUTH_PORT {auth_port} is the same as PORT: set one of them to another")
    if errors:
        raise CannotRun("\n".join(errors))
    return Plan(embedded, node, no_node, auth_port, listening.host, listening.port, env)


def find_node() -> tuple[str | None, str | None]:
    """Return Node.js, or why it cannot be used."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return None, f"Node.js {NODE_OLDEST} or newer (with npm) is not installed: install it to sign in"
    printed = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    version = re.match(r"v(\d+)", printed)
    if version is None or int(version[1]) < NODE_OLDEST:
        return None, f"Node.js is {printed.strip() or 'broken'}: install {NODE_OLDEST} or newer to sign in"
    return node, None


def kept_secret(state: Path) -> str:
    """Return this machine's own random secret, made once."""
    file = state / "secret"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(48))
    return file.read_text().strip()


def is_free(port: int) -> bool:
    """Return whether a port of this machine is nobody's."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
