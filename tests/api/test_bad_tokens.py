"""A request with an invalid token gets 401 without a connection to the database. The log has the reason."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from structlog.testing import capture_logs

from app.composition import compose
from app.infra.auth.jwt_verifier import issue_token
from app.settings import Settings
from tests.conftest import environment_for
from tests.support.in_process import client_of
from tests.support.people import ORIGIN, TRUST
from tests.support.servers.jwks import jwks_server
from tests.support.signing import SigningKey, sign_with_secret


def good_token() -> str:
    return issue_token(TRUST, user_id="ann", lifetime=900)


def bad_tokens() -> dict[str, str]:
    """Make a bad token of each kind. Each test calls this, because all tokens expire after 15 minutes."""
    now = int(time.time())
    claims = {"sub": "ann", "iss": ORIGIN, "aud": ORIGIN, "iat": now, "exp": now + 900}
    return {
        "none at all": "",
        "noise": "x",
        "three parts of noise": "a.b.c",
        "too long": "a" * 9000,
        "forged": good_token()[:-4] + "AAAA",
        "of another secret": sign_with_secret(claims, secret=b"another" * 9),
        "expired": sign_with_secret(claims | {"exp": now - 60}),
        "of another issuer": sign_with_secret(claims | {"iss": "https://evil.example.com"}),
        "for another audience": sign_with_secret(claims | {"aud": "x"}),
        "of nobody": sign_with_secret(claims | {"sub": ""}),
        "of an unknown key": SigningKey("unknown").sign(claims),
        "without algorithm": sign_with_secret(claims, alg="none"),
    }


@dataclass
class FakeDatabase:
    """Listens in place of a database, and counts and closes connections."""

    url: str = ""
    connections: int = 0

    def accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@asynccontextmanager
async def client_and_fake_database() -> AsyncIterator[tuple[httpx.AsyncClient, FakeDatabase]]:
    """Start a service whose database is a fake one, and yield a client of the service and the database."""
    database = FakeDatabase()
    server = await asyncio.start_server(database.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with jwks_server(SigningKey("known").public) as keys:
        env = environment_for(f"postgresql://ann@127.0.0.1:{port}/x", JWKS_URL=keys.url)
        async with client_of(compose(Settings.from_env(env))) as client:
            yield client, database
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("name", ["of another issuer", "for another audience"])
async def test_the_expected_issuer_and_audience_are_in_the_log_but_not_in_the_response(name: str) -> None:
    async with client_and_fake_database() as (client, _):
        with capture_logs() as logged:
            response = await client.get(
                "/api/me/tasks", headers={"authorization": f"Bearer {bad_tokens()[name]}"}
            )

    assert ORIGIN in next(line["reason"] for line in logged if line["event"] == "not-authenticated")
    assert ORIGIN not in f"{response.text} {response.headers}"
    assert response.json()["detail"].startswith("The token is not valid here.")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_invalid_token_uses_no_database_connection(method: str) -> None:
    async with client_and_fake_database() as (client, database):
        for name, token in bad_tokens().items():
            headers = {"authorization": f"Bearer {token}"} if token else {}
            response = await client.request(method, "/api/me/tasks", headers=headers)
            assert response.status_code == 401, name
        assert database.connections == 0

        good = await client.get("/api/me/tasks", headers={"authorization": f"Bearer {good_token()}"})

        assert good.status_code == 503  # the database is down: the bad tokens were refused without it
        assert database.connections > 0
