"""Runs nginx and Caddy in front of a service, with docs/examples/ and the few changes that `nginx` and `caddy` list."""

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from dev.children import prepare
from dev.postgres import free_port
from tests.support import certificates
from tests.support.replacing import replace_each
from tests.support.servers.service import BARE_ENVIRONMENT, Service

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
NAME = "tasks.example.com"
START_TIMEOUT = 20  # seconds
NGINX_FOLDERS = "".join(
    f"{kind}_temp_path {{folder}}/nginx-{kind};\n"
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


@dataclass
class ReverseProxy:
    """A running proxy."""

    port: int
    trust: ssl.SSLContext  # of a client that accepts the proxy's certificate

    def client(self, address: str = "127.0.0.1", **headers: str) -> httpx.Client:
        """Return a client that connects from one of this machine's addresses."""
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}",
            headers={"host": NAME, **headers},
            transport=httpx.HTTPTransport(verify=self.trust, local_address=address),
            timeout=30,
        )

    def ask(self, path: str, address: str = "127.0.0.1", **headers: str) -> httpx.Response:
        """Send one GET on its own connection."""
        with self.client(address, **headers) as client:
            return client.get(path, extensions={"sni_hostname": NAME})


def edited(name: str, changes: Mapping[str, str]) -> str:
    """Return an example with replacements. Each replaced text occurs exactly once."""
    return replace_each((EXAMPLES / name).read_text(), changes, name)


@contextmanager
def nginx(service: Service, folder: Path) -> Iterator[ReverseProxy]:
    """Run nginx in front of the service until the block ends."""
    certificates.make(folder, NAME)
    port = free_port()
    changes = {
        "http {\n": "http {\n" + NGINX_FOLDERS.format(folder=folder),
        "listen 443 ssl": f"listen 127.0.0.1:{port} sndbuf=64k ssl",  # a small buffer: the local network would take megabytes
        "127.0.0.1:8000": service.url.removeprefix("http://"),
        "/etc/ssl/tasks.example.com.crt": f"{folder}/server.crt",
        "/etc/ssl/private/tasks.example.com.key": f"{folder}/server.key",
    }
    (folder / "nginx.conf").write_text(edited("nginx.conf", changes))
    process = f"daemon off; pid {folder}/nginx.pid; error_log stderr;"
    if os.geteuid() == 0:
        process += " user root;"  # other users cannot write into the folder
    command = [program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder), "-g", process]
    with _running(command, folder, port) as proxy:
        yield proxy


@contextmanager
def caddy(service: Service, folder: Path) -> Iterator[ReverseProxy]:
    """Run Caddy in front of the service until the block ends."""
    certificates.make(folder, NAME)
    port, address = free_port(), service.url.removeprefix("http://")
    changes = {
        "{\n\tservers {": "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers {",
        "tasks.example.com {": f"{NAME}:{port} {{\n\ttls {folder}/server.crt {folder}/server.key",
        "reverse_proxy 127.0.0.1:8000 {": f"reverse_proxy {address} {{",
        "reverse_proxy @events 127.0.0.1:8000": f"reverse_proxy @events {address}",
    }
    (folder / "Caddyfile").write_text(edited("Caddyfile", changes))
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    with _running(command, folder, port) as proxy:
        yield proxy


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[ReverseProxy]:
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**BARE_ENVIRONMENT, "HOME": str(folder)},
            stdout=log,
            stderr=log,
            preexec_fn=prepare(),  # noqa: PLW1509 - no threads here
        )
    proxy = ReverseProxy(port, ssl.create_default_context(cafile=folder / "root.crt"))
    try:
        _wait_until_it_answers(proxy, process, folder / "proxy.log")
        yield proxy
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_answers(proxy: ReverseProxy, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        try:
            proxy.ask("/health")
        except httpx.HTTPError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())


def program(name: str) -> str:
    """Return the path of a program that must be installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found, f"{name} is not installed: `.ci/run` installs it"
    return found
