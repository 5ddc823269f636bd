"""The installation commands of README.md and docs/operations.md, run in a copy of the files that they need."""

import asyncio
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from dev.postgres import PostgresServer, free_port
from tests.support import certificates
from tests.support.servers.jwks import jwks_server
from tests.support.servers.service import BARE_ENVIRONMENT
from tests.support.signing import SigningKey

pytestmark = pytest.mark.server

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 300  # seconds for pip
OF_PACKAGE_INDEX = re.compile(
    r"(?i)(pip|uv)_\w+|ssl_cert_(file|dir)|requests_ca_bundle|(https?|all|no)_proxy"
)
"""Variables that tell pip and uv how to reach the package index on this machine."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of only those files that an installation needs."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", *(file.name for file in ROOT.glob("*.lock"))):
        shutil.copy(ROOT / name, folder)
    return folder


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a shell in which pip and uv can reach the package index."""
    return (
        BARE_ENVIRONMENT
        | {name: os.environ[name] for name in os.environ if OF_PACKAGE_INDEX.fullmatch(name)}
        | more
    )


def block(page: str, heading: str) -> str:
    """Return the first block of shell commands in a section of a page."""
    section = (ROOT / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return str(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[0])


def with_value(block: str, name: str, value: str) -> str:
    """Replace the value in a line `export NAME=…`, as a person who pastes the block does."""
    changed, count = re.subn(
        rf"^export {name}=('[^']*'|\S+)", f"export {name}='{value}'", block, flags=re.MULTILINE
    )
    assert count == 1
    return changed


async def test_the_readmes_production_block_runs_as_pasted(
    postgres: PostgresServer, clone: Path, tmp_path: Path
) -> None:
    async with jwks_server(SigningKey().public) as keys:
        pasted = with_value(block("README.md", "In production"), "DATABASE_URL", postgres.new_database())
        pasted = with_value(pasted, "BETTER_AUTH_URL", keys.url.removesuffix("/jwks"))
        env = environment(HOME=str(tmp_path), JWKS_URL=keys.url)

        ready, output = await asyncio.to_thread(run_until_ready, pasted, clone, env, tmp_path / "log")

    assert ready["status"] == "ok"
    assert "applied 0001: " in output
    assert f'"version": "{version("taskward")}"' in output


def run_until_ready(pasted: str, folder: Path, env: dict[str, str], log: Path) -> tuple[dict[str, str], str]:
    """Run commands, the last of them `app serve`. Return the response of `/health/ready` with 200, and the output."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/bash", "-eu", "-c", pasted],
            cwd=folder,
            env=env | {"PORT": str(port)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/health/ready")
                if answer.status_code == 200:
                    return answer.json(), log.read_text()
            except httpx.HTTPError:
                assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def test_uv_installs_everything_for_traces_from_the_lock_files(clone: Path, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where uv is
    env = environment(PATH=path, PLACE=str(tmp_path / "place"))

    done = subprocess.run(
        ["/bin/bash", "-eu", "-c", block("docs/operations.md", "Installing")],
        cwd=clone,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"taskward {version('taskward')} (Python ")
    python = tmp_path / "place" / "bin" / "python"
    subprocess.run([python, "-c", "import app.tracing, app.metrics"], check=True, cwd=tmp_path)
    imported = subprocess.run([python, "-c", "import pytest"], check=False, cwd=tmp_path, capture_output=True)
    assert imported.returncode == 1  # packages for development are not installed


def test_uv_trusts_your_own_certificate_authority_in_ssl_cert_file(tmp_path: Path) -> None:
    authority = certificates.make(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    index = ThreadingHTTPServer(("localhost", 0), BaseHTTPRequestHandler)  # answers 501 to every request
    index.socket = context.wrap_socket(index.socket, server_side=True)
    threading.Thread(target=index.serve_forever, daemon=True).start()
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--python", sys.executable, "--dry-run"]
    command = [
        *uv,
        "--no-cache",
        "--no-config",
        "--index-url",
        f"https://localhost:{index.server_port}/simple",
        "no-such-thing",
    ]

    def output(**env: str) -> str:
        return subprocess.run(
            command,
            env={**BARE_ENVIRONMENT, "UV_HTTP_RETRIES": "0", **env},
            capture_output=True,
            text=True,
            check=False,
        ).stderr

    without_setting, with_setting = output(), output(SSL_CERT_FILE=str(authority))
    index.shutdown()
    index.server_close()

    assert "UnknownIssuer" in without_setting
    assert "UnknownIssuer" not in with_setting
    assert "501" in with_setting  # uv accepted the certificate and sent a request
