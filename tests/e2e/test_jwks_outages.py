"""The service while the issuer's keys cannot be fetched: a token with an unknown key gets 503, neither 401 nor 500.

Most tests have a key server whose behaviour they change. The last one stops and starts a real Better Auth.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from dev.postgres import PostgresServer, free_port
from tests.support.factories import someone
from tests.support.servers.better_auth import better_auth
from tests.support.servers.jwks import JwksServer, jwks_server
from tests.support.servers.service import serving
from tests.support.signing import SigningKey
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.server

ISSUER = "https://issuer.example.com"
OLD, NEW, STRANGE = SigningKey("old"), SigningKey("new"), SigningKey("strange")


@dataclass
class Api:
    """A client of the service. Each request may have another token."""

    client: httpx.AsyncClient

    async def ask(self, token: str = "") -> httpx.Response:
        """Request the list."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.client.get("/api/me/tasks", headers=headers)

    async def readiness(self) -> tuple[int, dict[str, str]]:
        """Return the status and the parts of `/health/ready`."""
        response = await self.client.get("/health/ready")
        return response.status_code, response.json()

    async def seconds_until_accepted(self, token: str, *, spent: bool = False) -> float:
        """Send requests until the token is accepted. Fail at a response that is neither 200 nor 503.

        With `spent`, 429 is allowed too: earlier requests have used up the fetches for unknown keys.
        """
        began = time.monotonic()
        while (response := await self.ask(token)).status_code != 200:
            if spent and response.status_code == 429:
                assert 1 <= int(response.headers["retry-after"]) <= 10
            else:
                check_keys_unavailable(response)
            assert time.monotonic() - began < 20
            await asyncio.sleep(0.05)
        return time.monotonic() - began


def check_keys_unavailable(response: httpx.Response) -> None:
    """Check the response to a token whose key the service does not have and cannot fetch."""
    assert response.status_code == 503
    assert response.json()["type"] == "/problems/keys-unavailable"
    assert 1 <= int(response.headers["retry-after"]) <= 10


@asynccontextmanager
async def api(database_url: str, folder: Path, **env: str) -> AsyncIterator[Api]:
    """Start the service, and yield a client of it."""
    with serving({"DATABASE_URL": database_url, "LOG_FORMAT": "json", **env}, folder) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
            yield Api(client)


def settings_that_trust(server: JwksServer) -> dict[str, str]:
    """Return the variables of a service that accepts these keys."""
    return {"JWKS_URL": server.url, "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": ISSUER}


def token_of(key: SigningKey, **more: Any) -> str:
    """Sign a token of somebody new."""
    now = int(time.time())
    return key.sign({"sub": someone(), "iss": ISSUER, "aud": ISSUER, "iat": now, "exp": now + 900, **more})


async def until_next_request(server: JwksServer) -> None:
    """Wait until the service fetches the keys again."""
    before = server.requests
    await wait_until_async(lambda: server.requests > before, seconds=5)


async def test_given_no_keys_were_ever_fetched_then_503_for_each_cause_until_a_fetch_succeeds(
    database_url: str, tmp_path: Path
) -> None:
    async with jwks_server(OLD.public) as server:
        server.behaviour = "hang"
        async with api(database_url, tmp_path, **settings_that_trust(server)) as service:
            for behaviour in ("500", "reset", "empty", "private", "hang"):
                server.behaviour = behaviour
                await until_next_request(server)
                check_keys_unavailable(await service.ask(token_of(OLD)))
                assert await service.readiness() == (
                    503,
                    {"status": "unavailable", "database": "ok", "keys": "unavailable", "process": "ok"},
                )
            assert (await service.ask()).status_code == 401
            assert (await service.ask(token_of(OLD, iss="https://evil.example.com"))).status_code == 401
            server.behaviour = "good"

            assert await service.seconds_until_accepted(token_of(OLD)) < 2
            assert await service.readiness() == (
                200,
                {"status": "ok", "database": "ok", "keys": "ok", "process": "ok"},
            )


@pytest.mark.parametrize("behaviour", ["hang", "reset"])  # tests/infra/test_jwks_fetcher.py has all of them
async def test_given_an_outage_then_tokens_of_known_keys_are_accepted_and_an_unknown_key_gets_503(
    behaviour: str, database_url: str, tmp_path: Path
) -> None:
    async with (
        jwks_server(OLD.public) as server,
        api(database_url, tmp_path, **settings_that_trust(server)) as service,
    ):
        await service.seconds_until_accepted(token_of(OLD))
        server.behaviour, before = behaviour, server.requests

        unknown, *known = await asyncio.gather(
            service.ask(token_of(STRANGE)), *(service.ask(token_of(OLD)) for _ in range(20))
        )

        assert {response.status_code for response in known} == {200}
        check_keys_unavailable(unknown)
        assert server.requests > before
        assert (await service.readiness())[0] == 200


@pytest.mark.parametrize("kept", [True, False], ids=["with the old key", "without the old key"])
async def test_a_new_key_is_accepted_at_its_first_use_and_a_removed_one_is_refused(
    kept: bool,  # noqa: FBT001 - a case
    database_url: str,
    tmp_path: Path,
) -> None:
    async with (
        jwks_server(OLD.public) as server,
        api(database_url, tmp_path, **settings_that_trust(server)) as service,
    ):
        old = token_of(OLD)
        await service.seconds_until_accepted(old)
        server.keys = [OLD.public, NEW.public] if kept else [NEW.public]

        async with asyncio.timeout(1):
            assert (await service.ask(token_of(NEW))).status_code == 200

        after = [await service.ask(token) for token in (old, token_of(OLD))]
        assert [response.status_code for response in after] == ([200, 200] if kept else [401, 401])


async def test_a_flood_of_unknown_keys_gets_401_or_429_and_causes_at_most_five_fetches(
    database_url: str, tmp_path: Path
) -> None:
    async with (
        jwks_server(OLD.public) as server,
        api(database_url, tmp_path, **settings_that_trust(server)) as service,
    ):
        await service.seconds_until_accepted(token_of(OLD))
        strangers = [token_of(STRANGE, jti=str(number)) for number in range(300)]

        answers = await asyncio.gather(*map(service.ask, strangers))

        assert {response.status_code for response in answers} <= {401, 429}
        for response in answers:
            if response.status_code == 429:
                assert 1 <= int(response.headers["retry-after"]) <= 10
        assert "warning" not in (tmp_path / "log").read_text()
        assert server.requests <= 1 + 3 + 1  # one at the start, three at once, and one more in ten seconds
        assert (await service.ask(token_of(OLD))).status_code == 200


async def test_given_the_real_better_auth_stopped_and_started_then_nobody_is_signed_out(
    postgres: PostgresServer, database_url: str, tmp_path: Path
) -> None:
    people, port = postgres.new_database(), free_port()
    async with better_auth(people, port=port) as auth:
        ann = await auth.sign_up()
        early = await ann.token()
    strange = SigningKey("strange").sign(
        {"sub": ann.user_id, "iss": auth.url, "aud": auth.url, "exp": int(time.time()) + 900}
    )

    async with api(database_url, tmp_path, BETTER_AUTH_URL=auth.url) as service:
        check_keys_unavailable(await service.ask(early))
        assert await service.readiness() == (
            503,
            {"status": "unavailable", "database": "ok", "keys": "unavailable", "process": "ok"},
        )
        assert (await service.client.get("/health")).status_code == 200

        async with better_auth(people, port=port, secret=auth.secret) as again:
            assert await service.seconds_until_accepted(early) < 2
            assert (await service.readiness())[0] == 200
            fresh = await replace(ann, client=again.client).token()
            assert (await service.ask(strange)).status_code == 401

        for _ in range(3):
            assert (await service.ask(fresh)).status_code == 200
            refused = await service.ask(strange)
            assert refused.status_code in (429, 503)  # 429: fetches for unknown keys are used up
            assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert (await service.readiness())[0] == 200

        postgres.query("DELETE FROM jwks", people.rpartition("/")[2])  # so Better Auth makes a new key
        async with better_auth(people, port=port, secret=auth.secret) as again:
            rotated = await replace(ann, client=again.client).token()
            assert await service.seconds_until_accepted(rotated, spent=True) < 11
            # Refused. The reason depends on whether the service may fetch the keys just now.
            assert (await service.ask(fresh)).status_code in (401, 429, 503)
