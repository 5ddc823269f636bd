"""The reference sign-in server, abused: nobody locks another out, and nobody guesses without end."""

import json
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psutil
import pytest

from dev.postgres import PostgresServer
from tests.support.factories import someone
from tests.support.servers.better_auth import BetterAuth, SignedIn, better_auth

pytestmark = pytest.mark.server

LIMITED = {"AUTH_RATE_LIMIT": "on", "NODE_ENV": "production"}
PASSWORD = "a long enough password"
TOKEN_MAX = 1_000  # characters
BODY = 150 * 1024 * 1024  # bytes


@pytest.fixture
async def auth(postgres: PostgresServer) -> AsyncIterator[BetterAuth]:
    """The server as in production: limits on, no proxy in front."""
    async with better_auth(postgres.new_database(), settings=LIMITED) as auth:
        yield auth


@pytest.fixture
async def proxied(postgres: PostgresServer) -> AsyncIterator[BetterAuth]:
    """The same behind a proxy of ours on this machine."""
    settings = {**LIMITED, "TRUSTED_PROXIES": "127.0.0.0/8"}
    async with better_auth(postgres.new_database(), settings=settings) as auth:
        yield auth


async def sign_in(auth: BetterAuth, email: str, password: str, address: str = "") -> int:
    headers = {"origin": auth.url} | ({"x-forwarded-for": address} if address else {})
    body = {"email": email, "password": password}
    return (await auth.client.post("/api/auth/sign-in/email", json=body, headers=headers)).status_code


async def sign_up(auth: BetterAuth, address: str, **more: Any) -> httpx.Response:
    body = {"name": "Ann", "email": f"{someone()}@example.com", "password": PASSWORD, **more}
    headers = {"origin": auth.url, "x-forwarded-for": address}
    return await auth.client.post("/api/auth/sign-up/email", json=body, headers=headers)


async def test_wrong_passwords_from_one_address_do_not_lock_another_out(proxied: BetterAuth) -> None:
    email = (await sign_up(proxied, "192.0.2.1")).json()["user"]["email"]

    guesses = [await sign_in(proxied, email, "wrong", "198.51.100.7") for _ in range(8)]

    assert guesses[:3] == [401, 401, 401]
    assert set(guesses[4:]) == {429}
    assert await sign_in(proxied, email, PASSWORD, "192.0.2.1") == 200


async def test_anonymous_requests_for_tokens_do_not_stop_another_s(proxied: BetterAuth) -> None:
    response = await sign_up(proxied, "192.0.2.1")
    headers = {"authorization": f"Bearer {response.headers['set-auth-token']}"}

    flood = Counter(
        [
            (
                await proxied.client.get("/api/auth/token", headers={"x-forwarded-for": "198.51.100.7"})
            ).status_code
            for _ in range(120)
        ]
    )
    token = await proxied.client.get("/api/auth/token", headers={**headers, "x-forwarded-for": "192.0.2.1"})

    assert flood[429] > 0
    assert token.status_code == 200


async def test_a_made_up_forwarded_address_does_not_reset_the_limit(auth: BetterAuth) -> None:
    guesses = Counter(
        [await sign_in(auth, "ann@example.com", "wrong", f"192.0.2.{number}") for number in range(10)]
    )

    assert guesses[429] >= 6


async def test_a_made_up_address_before_that_of_the_proxy_does_not_reset_the_limit(
    proxied: BetterAuth,
) -> None:
    guesses = Counter(
        [
            await sign_in(proxied, "ann@example.com", "wrong", f"192.0.2.{number}, 203.0.113.9")
            for number in range(10)
        ]
    )

    assert guesses[429] >= 6


async def test_ipv6_addresses_of_one_network_are_one(proxied: BetterAuth) -> None:
    guesses = Counter(
        [await sign_in(proxied, "ann@example.com", "wrong", f"2001:db8::{n:x}") for n in range(1, 11)]
    )

    assert guesses[429] >= 6


async def test_one_account_is_not_guessed_from_many_addresses_and_its_owner_goes_on(
    proxied: BetterAuth,
) -> None:
    email = (await sign_up(proxied, "192.0.2.1")).json()["user"]["email"]
    assert await sign_in(proxied, email, PASSWORD, "192.0.2.1") == 200

    guesses = [await sign_in(proxied, email, "wrong", f"198.51.100.{number}") for number in range(1, 31)]
    right_but_unknown = await sign_in(proxied, email, PASSWORD, "198.51.100.200")

    assert guesses.count(401) == 20
    assert set(guesses[20:]) == {429}
    assert right_but_unknown == 429
    assert await sign_in(proxied, email, PASSWORD, "192.0.2.1") == 200


async def test_a_large_body_is_refused_and_not_kept_in_memory(auth: BetterAuth) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(BODY // 65_536):
            yield b"x" * 65_536

    async def sent() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    server = next(
        process
        for process in psutil.Process().children(recursive=True)
        if "test/server.ts" in " ".join(process.cmdline())
    )
    before = server.memory_info().rss
    statuses = []
    for content, headers in ((sent(), {}), (b"x" * 70_000, {"content-length": "70000"})):
        try:
            response = await auth.client.post(
                "/api/auth/sign-in/email",
                content=content,
                headers={"origin": auth.url, "content-type": "application/json", **headers},
            )
            statuses.append(response.status_code)
        except httpx.TransportError:
            statuses.append(413)  # the server closed the connection while the client still sent

    assert statuses == [413, 413]  # the second is always answered: its length is announced
    assert server.memory_info().rss - before < 100 * 1024 * 1024


async def test_a_token_is_small_whatever_the_profile_and_large_profiles_are_refused(auth: BetterAuth) -> None:
    ann = await auth.sign_up()
    headers = {"authorization": f"Bearer {ann.session_token}", "origin": auth.url}
    picture = "data:image/png;base64," + "A" * 6_000
    changes: list[dict[str, str]] = [{"image": picture}, {"name": "n" * 7_000}]

    refused = [
        (await auth.client.post("/api/auth/update-user", json=change, headers=headers)).status_code
        for change in changes
    ]
    kept = await auth.client.post("/api/auth/update-user", json={"name": "n" * 100}, headers=headers)
    token = await ann.token()

    assert refused == [400, 400]
    assert kept.status_code == 200
    assert len(token) < TOKEN_MAX
    payload = token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert set(claims) == {"sub", "iat", "exp", "iss", "aud"}
    assert (await sign_up(auth, "", name="n" * 7_000)).status_code == 400


async def test_an_address_of_30_000_characters_or_a_name_with_a_nul_makes_no_account(
    auth: BetterAuth,
) -> None:
    long = await sign_up(auth, "", email="a" * 30_000 + "@example.com")
    nul = await sign_up(auth, "", name="a\0")

    assert (long.status_code, nul.status_code) == (400, 400)


async def test_an_unsigned_session_token_is_no_credential(auth: BetterAuth) -> None:
    ann = await auth.sign_up()
    headers = {"authorization": f"Bearer {ann.session_token}"}
    sessions = (await auth.client.get("/api/auth/list-sessions", headers=headers)).json()
    raw = SignedIn(auth.client, ann.user_id, sessions[0]["token"], ())

    auth.client.cookies.clear()

    response = await auth.client.get(
        "/api/auth/token", headers={"authorization": f"Bearer {raw.session_token}"}
    )

    assert response.status_code == 401
    assert await ann.token()


async def test_answers_of_the_sign_in_server_are_not_kept_and_not_sniffed(auth: BetterAuth) -> None:
    for path in ("get-session", "token", "jwks", "ok"):
        response = await auth.client.get(f"/api/auth/{path}")
        assert response.headers["cache-control"] == "no-store", path
        assert response.headers["x-content-type-options"] == "nosniff", path


async def test_where_addresses_are_verified_sign_up_does_not_tell_whether_one_is_known(
    postgres: PostgresServer,
) -> None:
    settings = {"REQUIRE_EMAIL_VERIFICATION": "1"}
    async with better_auth(postgres.new_database(), settings=settings) as auth:
        email = f"{someone()}@example.com"
        first = await sign_up(auth, "", email=email)
        again = await sign_up(auth, "", email=email)
        unverified = await sign_in(auth, email, PASSWORD)
        link = next(line.strip() for line in auth.printed if "/verify-email" in line)
        await auth.client.get(link.removeprefix(auth.url))
        verified = await sign_in(auth, email, PASSWORD)

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json().keys() == again.json().keys()
    assert first.json()["user"].keys() == again.json()["user"].keys()
    assert (unverified, verified) == (403, 200)
