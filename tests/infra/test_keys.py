"""Keys: at hand for every request, fetched beside it, and never lost for an issuer that is down."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from app.domain.errors import KeysUnavailable, NotAuthenticated
from app.infra import key_fetching, keys
from app.infra.key_set import BadKeySet, read
from app.infra.keys import KeySet
from tests.jwks_server import JwksServer, jwks_server

BAD = ["500", "redirect", "html", "empty", "no object", "huge", "secret kind", "private", "twice", "reset"]


def public(name: str, private: Any = None, algorithm: str = "EdDSA", **members: Any) -> dict[str, Any]:
    """Return a new public key of this name."""
    private = private or ed25519.Ed25519PrivateKey.generate()
    written = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
    return {**written, "kid": name, **members}


async def until(fact: Callable[[], bool]) -> None:
    """Wait two seconds at most."""
    async with asyncio.timeout(2):
        while not fact():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@asynccontextmanager
async def started(server: JwksServer, *, ready: bool = True) -> AsyncIterator[KeySet]:
    """Start a key set, and wait until it has keys."""
    fetched = KeySet(server.url)
    await fetched.start()
    try:
        if ready:
            await until(lambda: fetched.ready)
        yield fetched
    finally:
        await fetched.close()


async def test_a_known_key_is_found_without_asking_anybody() -> None:
    async with jwks_server(public("one")) as server, started(server) as fetched:
        before = server.asked

        for _ in range(100):
            await fetched.find("one", "EdDSA")

        assert server.asked == before == 1


async def test_starting_does_not_wait_for_the_issuer() -> None:
    async with jwks_server(public("one")) as server:
        server.behaviour = "hang"
        began = time.monotonic()

        async with started(server, ready=False) as fetched:
            assert not fetched.ready
            assert time.monotonic() - began < 0.5


async def test_an_unknown_key_is_fetched_at_once_and_by_all_who_wait_together() -> None:
    async with jwks_server(public("old")) as server, started(server) as fetched:
        server.keys.append(public("new"))
        server.behaviour = "slow"

        await asyncio.gather(*(fetched.find("new", "EdDSA") for _ in range(50)))

        assert server.asked == 2


async def test_a_key_that_is_made_while_a_fetch_is_under_way_is_found_by_the_next() -> None:
    async with jwks_server(public("old")) as server, started(server) as fetched:
        server.behaviour = "slow"
        early = asyncio.create_task(fetched.find("nobody's", "EdDSA"))
        await asyncio.sleep(0.1)
        server.keys.append(public("new"))

        await fetched.find("new", "EdDSA")

        with pytest.raises(NotAuthenticated):
            await early


async def test_given_a_fresh_set_without_the_key_then_the_token_is_not_believed() -> None:
    async with jwks_server(public("one")) as server, started(server) as fetched:
        with pytest.raises(NotAuthenticated):
            await fetched.find("nobody's", "EdDSA")


async def test_a_flood_of_unknown_keys_causes_few_fetches_and_is_told_to_come_back() -> None:
    async with jwks_server(public("one")) as server, started(server) as fetched:
        answers = []
        for number in range(1000):
            try:
                await fetched.find(f"unknown-{number}", "EdDSA")
            except (NotAuthenticated, KeysUnavailable) as error:
                answers.append(error)

        assert server.asked <= 1 + key_fetching.BURST
        limited = [error for error in answers if isinstance(error, KeysUnavailable)]
        assert len(limited) == 1000 - key_fetching.BURST
        assert all(1 <= error.retry_after <= key_fetching.PAUSE for error in limited)


async def test_the_allowance_grows_again_with_time() -> None:
    clock = [0.0]
    allowance = key_fetching.Allowance(lambda: clock[0])
    for _ in range(key_fetching.BURST):
        allowance.take()

    assert allowance.wait() == key_fetching.PAUSE
    clock[0] = 7.5
    assert allowance.wait() == pytest.approx(2.5)
    clock[0] = 10.0
    assert allowance.wait() == 0


async def test_given_an_issuer_that_is_down_then_an_unknown_key_is_neither_believed_nor_refused() -> None:
    async with jwks_server(public("one")) as server, started(server) as fetched:
        server.behaviour = "500"

        with pytest.raises(KeysUnavailable):
            await fetched.find("new", "EdDSA")
        await fetched.find("one", "EdDSA")


@pytest.mark.parametrize("behaviour", BAD)
async def test_a_bad_set_never_replaces_a_good_one(behaviour: str) -> None:
    async with jwks_server(public("one")) as server, started(server) as fetched:
        server.behaviour = behaviour

        with pytest.raises(KeysUnavailable):
            await fetched.find("new", "EdDSA")

        assert fetched.ready
        await fetched.find("one", "EdDSA")
        assert server.asked == 2


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
async def test_a_fetch_ends_within_its_time_however_slow_the_issuer(behaviour: str) -> None:
    async with jwks_server(public("one")) as server, started(server) as fetched:
        server.behaviour = behaviour
        began = time.monotonic()

        with pytest.raises(KeysUnavailable):
            await fetched.find("new", "EdDSA")

        assert time.monotonic() - began < key_fetching.TIMEOUT + 1


async def test_given_no_keys_at_all_then_it_recovers_by_itself_within_two_seconds() -> None:
    async with jwks_server(public("one")) as server:
        server.behaviour = "500"
        async with started(server, ready=False) as fetched:
            with pytest.raises(KeysUnavailable):
                await fetched.find("one", "EdDSA")
            server.behaviour = "200"

            await until(lambda: fetched.ready)

            await fetched.find("one", "EdDSA")


async def test_a_key_that_leaves_the_set_is_gone_and_its_generation_with_it() -> None:
    async with jwks_server(public("one"), public("two")) as server, started(server) as fetched:
        before = fetched.generation
        del server.keys[0]

        await fetched._shared_fetch()

        assert fetched.generation == before + 1
        with pytest.raises(NotAuthenticated):
            await fetched.find("one", "EdDSA")


async def test_a_key_that_comes_leaves_the_generation_as_it_was() -> None:
    async with jwks_server(public("one")) as server, started(server) as fetched:
        before = fetched.generation
        server.keys.append(public("two"))

        await fetched._shared_fetch()

        assert fetched.generation == before


async def test_a_set_dies_a_day_after_it_was_last_fetched() -> None:
    async with jwks_server(public("one")) as server, started(server) as fetched:
        fetched._fetched -= keys.LIFETIME

        assert not fetched.ready


async def test_the_set_is_fetched_again_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "REFRESH", 0.05)
    async with jwks_server(public("one")) as server, started(server) as fetched:
        server.keys[:] = [public("two")]

        await until(lambda: fetched._known("two", "EdDSA") is not None)


async def test_whoever_gives_up_waiting_does_not_end_the_fetch_of_the_others() -> None:
    async with jwks_server(public("old")) as server, started(server) as fetched:
        server.keys.append(public("new"))
        server.behaviour = "slow"
        hasty = asyncio.create_task(fetched.find("new", "EdDSA"))
        patient = asyncio.create_task(fetched.find("new", "EdDSA"))
        await asyncio.sleep(0.05)

        hasty.cancel()

        assert await patient


def written(*members: dict[str, Any]) -> bytes:
    return json.dumps({"keys": members}).encode()


SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to see it refused
STRANGE = {
    "an unknown kind": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "x"},
    "an unknown curve": {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "x"},
    "for encryption": public("x", use="enc"),
    "not to verify": public("x", key_ops=["sign"]),
    "a foreign algorithm": public("x", alg="ES256"),
    "an algorithm that PyJWT lacks": public("x", alg="Ed25519"),
    "a small RSA key": public("x", SMALL, "RS256"),
    "no point of its curve": {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "x"},
    "a number for its id": public("x") | {"kid": 5},
    "a list for its kind": {"kty": ["EC"], "kid": "x"},
}


@pytest.mark.parametrize("member", STRANGE.values(), ids=STRANGE)
def test_a_key_that_is_not_for_us_is_passed_over(member: dict[str, Any]) -> None:
    assert [key.key_id for key in read(written(member, public("ours")))] == ["ours"]
    with pytest.raises(BadKeySet):
        read(written(member))


def test_a_key_allows_the_algorithms_of_its_kind_and_of_its_word() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curve = ec.generate_private_key(ec.SECP521R1())

    found = read(
        written(
            public("any", private, "RS256"),
            public("one", private, "RS256", alg="PS256"),
            public("curve", curve, "ES512"),
        )
    )

    assert [key.algorithms for key in found] == [("RS256", "PS256"), ("PS256",), ("ES512",)]
