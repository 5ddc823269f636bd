"""The key set is fetched only from the configured URL, and within limits of size and time."""

import asyncio
import ssl
import time
from pathlib import Path

import pytest

from app.domain.errors import KeysUnavailable
from app.infra.auth.jwk import InvalidJwks
from app.infra.auth.jwks_fetcher import CannotFetch, Fetcher
from tests.support import certificates
from tests.support.servers.jwks import BODIES, fetched_from, jwks_server
from tests.support.signing import SigningKey

OLD, NEW = SigningKey("old"), SigningKey("new")
BAD = ["500", "redirect", "reset", "endless", *(body for body in BODIES if body != "good")]


@pytest.mark.parametrize("behaviour", BAD)
async def test_an_invalid_response_never_replaces_a_valid_key_set(behaviour: str) -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server) as keys:
        server.behaviour, server.keys = behaviour, [OLD.public, NEW.public]

        with pytest.raises(KeysUnavailable):
            await keys.find("new", "EdDSA")

        assert await keys.find("old", "EdDSA")
        assert server.requests == 2


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("500", "answered 500"),
        ("redirect", "answered 302"),
        ("packed", "sends a compressed response"),
        ("huge", "more than 65536"),
        ("endless", "more than 65536"),
        ("reset", "did not answer"),
    ],
)
async def test_a_response_that_cannot_be_used_is_refused_with_the_reason(behaviour: str, why: str) -> None:
    async with jwks_server(OLD.public) as server:
        server.behaviour = behaviour
        fetcher = Fetcher(server.url)

        with pytest.raises(CannotFetch, match=why):
            await fetcher.fetch()

        assert server.requests == 1
        await fetcher.close()


async def test_a_fetch_ends_in_time_even_if_the_response_arrives_slowly() -> None:
    async def seconds(behaviour: str) -> float:
        async with jwks_server(OLD.public) as server:
            server.behaviour = behaviour
            fetcher = Fetcher(server.url)
            began = time.monotonic()
            with pytest.raises(CannotFetch, match="did not answer"):
                await fetcher.fetch()
            await fetcher.close()
            return time.monotonic() - began

    slowest = max(await asyncio.gather(*map(seconds, ("hang", "drip", "drip head"))))

    assert slowest < 2


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with jwks_server(NEW.public) as proxy, jwks_server(OLD.public) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        fetcher = Fetcher(server.url)

        keys = await fetcher.fetch()

        assert [key.key_id for key in keys] == ["old"]
        assert proxy.requests == 0
        await fetcher.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "http://a\0/"])
async def test_a_fetch_from_an_unreachable_url_fails(url: str) -> None:
    with pytest.raises(CannotFetch):
        await Fetcher(url).fetch()


@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [
        ("127.0.0.1", True, None),
        ("127.0.0.1", False, "ConnectError"),
        ("another.example.com", True, "ConnectError"),
    ],
    ids=["a good certificate", "an unknown authority", "another name"],
)
async def test_the_certificate_of_the_issuer_is_verified(
    name: str,
    trusted: bool,  # noqa: FBT001 - a case
    why: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority = certificates.make(tmp_path, name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    async with jwks_server(OLD.public, tls=context) as server:
        fetcher = Fetcher(server.url)

        if why is None:
            assert await fetcher.fetch()
        else:
            with pytest.raises(CannotFetch, match=why):
                await fetcher.fetch()

        assert server.requests == (1 if why is None else 0)
        await fetcher.close()


async def test_a_key_set_without_keys_raises_invalid_jwks() -> None:
    async with jwks_server() as server:
        fetcher = Fetcher(server.url)

        with pytest.raises(InvalidJwks):
            await fetcher.fetch()

        await fetcher.close()
