"""Error messages of the reference sign-in server when its settings are wrong."""

import os
import shutil
import subprocess

import pytest

from dev.postgres import free_port
from tests.support.servers.better_auth import WEB

pytestmark = pytest.mark.server

RIGHT = {
    "BETTER_AUTH_URL": "http://localhost:3000",
    "BETTER_AUTH_SECRET": "0123456789abcdef0123456789abcdef",
    "DATABASE_URL": "postgresql://ann:secret@127.0.0.1:1/tasks",
}


def run_until_exit(**env: str) -> "subprocess.CompletedProcess[str]":
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules").exists():
        pytest.skip("needs Node, and `make setup`")
    return subprocess.run(
        [node, "--import", "tsx", "server.ts"],
        cwd=WEB,
        env={"PATH": os.environ["PATH"], "AUTH_PORT": str(free_port()), **RIGHT, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_all_invalid_settings_are_reported_at_once() -> None:
    done = run_until_exit(
        BETTER_AUTH_URL="localhost:3000",
        BETTER_AUTH_SECRET="short",
        DATABASE_URL="mysql://localhost/tasks",
        TRUSTED_ORIGINS="https://app.example.com, app.example.com,https://app.example.com/path",
        TRUSTED_PROXIES="10.0.0.0/8,10.0.0.1/8,2001:db8::1/32,::ffff:10.0.0.0/104,10.0.0.0/33,proxy",
        REQUIRE_EMAIL_VERIFICATION="yes",
        AUTH_PORT="0",
    )

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "The sign-in server cannot start:",
        *(
            f"  TRUSTED_PROXIES has an invalid network ({fault}): write 10.0.0.0/8, 2001:db8::/32"
            for fault in (
                "10.0.0.1/8 has host bits set",
                "2001:db8::1/32 has host bits set",
                "'10.0.0.0/33' does not appear to be an IPv4 or IPv6 network",
                "'proxy' does not appear to be an IPv4 or IPv6 network",
            )
        ),
        "  REQUIRE_EMAIL_VERIFICATION is neither 0 nor 1",
        "  BETTER_AUTH_URL is not a URL like https://app.example.com",
        "  DATABASE_URL is not a URL like postgresql://user:password@host/database",
        "  TRUSTED_ORIGINS names app.example.com, which is not an origin like https://app.example.com",
        "  TRUSTED_ORIGINS names https://app.example.com/path, which is not an origin like https://app.example.com",
        "  BETTER_AUTH_SECRET is shorter than 32 bytes",
        "  AUTH_PORT is not a port",
    ]


@pytest.mark.parametrize("address", ["what", "postgresql://", "postgresql:tasks"])
def test_an_invalid_database_url_stops_the_sign_in_server(address: str) -> None:
    done = run_until_exit(DATABASE_URL=address)

    assert done.returncode == 1
    assert "DATABASE_URL is not a URL like postgresql://" in done.stderr


def test_the_server_logs_that_it_waits_for_the_database_and_why() -> None:
    done = run_until_exit(DATABASE_WAIT="1")

    assert done.returncode == 1
    assert "waiting for the database: connect ECONNREFUSED 127.0.0.1:1" in done.stdout
    assert "DATABASE_URL cannot be used: connect ECONNREFUSED 127.0.0.1:1" in done.stderr
