"""The cache of tokens has only valid tokens, a limited number of them, and only as long as they stay valid."""

from typing import Any

import jwt
import pytest

from app.domain.errors import NotAuthenticated
from app.infra.auth.jwt_claims import LEEWAY, Claims
from app.infra.auth.jwt_verifier import JwtVerifier, TokenCache
from tests.support.people import TRUST
from tests.support.servers.jwks import fetched_from, jwks_server
from tests.support.signing import CLAIMS, NOW, SigningKey, sign_with_secret
from tests.support.waiting import wait_until_async

ANN = Claims("ann", NOW + 900, 0)


async def test_a_token_is_verified_once_and_then_remembered_without_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = sign_with_secret()
    verifier = JwtVerifier(TRUST, None, now=lambda: NOW)
    first = await verifier.verify(token)
    monkeypatch.setattr(jwt, "decode", None)

    with pytest.raises(StopIteration) as done:
        verifier.verify(token).send(None)

    assert done.value.value is first


async def test_a_token_that_is_remembered_still_expires() -> None:
    clock = [float(NOW)]
    verifier = JwtVerifier(TRUST, None, now=lambda: clock[0])
    token = sign_with_secret()
    await verifier.verify(token)

    clock[0] = CLAIMS["exp"] + LEEWAY

    with pytest.raises(NotAuthenticated, match="expired"):
        await verifier.verify(token)


async def test_a_token_that_is_remembered_is_not_accepted_before_its_time() -> None:
    clock = [float(NOW)]
    verifier = JwtVerifier(TRUST, None, now=lambda: clock[0])
    token = sign_with_secret(CLAIMS | {"nbf": NOW})
    await verifier.verify(token)

    clock[0] = NOW - LEEWAY - 1  # a clock that is set back

    with pytest.raises(NotAuthenticated, match="not valid yet"):
        await verifier.verify(token)


async def test_when_a_key_is_removed_its_cached_tokens_are_refused_and_others_are_not() -> None:
    leaves, stays = SigningKey("leaves"), SigningKey("stays")
    async with (
        jwks_server(leaves.public, stays.public) as server,
        fetched_from(server, refresh=0.05) as keys,
    ):
        verifier = JwtVerifier(TRUST, keys, now=lambda: NOW)
        await verifier.verify(leaves.sign())
        await verifier.verify(stays.sign())

        server.keys = [stays.public]
        await wait_until_async(lambda: not keys.has("leaves"), seconds=2)

        assert (await verifier.verify(stays.sign())) == "ann"
        with pytest.raises(NotAuthenticated):
            await verifier.verify(leaves.sign())


async def test_when_a_key_is_replaced_under_the_same_id_its_cached_tokens_are_refused() -> None:
    first, second = SigningKey("one"), SigningKey("one")
    async with jwks_server(first.public) as server, fetched_from(server, refresh=0.05) as keys:
        verifier = JwtVerifier(TRUST, keys, now=lambda: NOW)
        token = first.sign()
        await verifier.verify(token)
        before = keys.generation

        server.keys = [second.public]
        await wait_until_async(lambda: keys.generation > before, seconds=2)

        with pytest.raises(NotAuthenticated, match="signature"):
            await verifier.verify(token)


@pytest.mark.parametrize("bad", [{"sub": ""}, {"exp": NOW - 60}, {"iss": "x"}, {"nbf": NOW + 60}], ids=str)
async def test_a_token_that_is_refused_is_not_remembered(bad: dict[str, Any]) -> None:
    verifier = JwtVerifier(TRUST, None, now=lambda: NOW)

    for secret in (TRUST.secret or b"", b"another" * 9):
        with pytest.raises(NotAuthenticated):
            await verifier.verify(sign_with_secret(CLAIMS | bad, secret=secret))

    assert len(verifier.cache) == 0


async def test_a_forged_token_is_not_remembered() -> None:
    verifier = JwtVerifier(TRUST, None, now=lambda: NOW)

    with pytest.raises(NotAuthenticated):
        await verifier.verify(sign_with_secret(secret=b"another" * 9))

    assert len(verifier.cache) == 0


def test_given_more_tokens_than_fit_then_the_least_recently_used_are_dropped() -> None:
    cache = TokenCache(size=3)
    for token in ("a", "b", "c"):
        cache.put(token, 0, ANN)
    cache.get("a", 0)

    cache.put("d", 0, ANN)

    assert [bool(cache.get(token, 0)) for token in "abcd"] == [True, False, True, True]
    assert len(cache) == 3


async def test_a_verifier_remembers_ten_thousand_tokens_at_most() -> None:
    verifier = JwtVerifier(TRUST, None, now=lambda: NOW)
    await verifier.verify(sign_with_secret())
    for number in range(10_000):
        verifier.cache.put(str(number), 0, ANN)

    assert len(verifier.cache) == 10_000


def test_a_new_generation_of_keys_forgets_everything() -> None:
    cache = TokenCache()
    cache.put("a", 0, ANN)

    assert cache.get("a", 1) is None
    assert cache.get("a", 0) is None


def test_a_token_of_an_old_generation_is_not_remembered() -> None:
    cache = TokenCache()
    cache.get("a", 2)

    cache.put("a", 1, ANN)

    assert cache.get("a", 2) is None


def test_the_cache_does_not_contain_the_token_itself() -> None:
    cache = TokenCache()
    cache.put("a-token-of-somebody", 0, ANN)

    assert "a-token-of-somebody" not in repr(vars(cache))
