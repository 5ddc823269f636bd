"""Reading a key set: which keys are used, which algorithms each allows, and which documents are refused."""

import json
from typing import Any

import pytest

from app.domain.errors import NotAuthenticated
from app.infra.auth.jwk import SECRET_MEMBERS, InvalidJwks, find_key, read_key_set
from tests.support.signing import ALGORITHMS, SigningKey, jwks_of

OURS = SigningKey("ours").public
ONE = SigningKey("x").public
RSA = SigningKey("rsa", "RS256").public
IGNORED: dict[str, dict[str, Any]] = {
    "of an unknown kind": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "x"},
    "of an unknown curve": {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "x"},
    "for key agreement": {"kty": "OKP", "crv": "X25519", "x": ONE["x"], "kid": "x"},
    "for encryption": ONE | {"use": "enc"},
    "not to verify": ONE | {"key_ops": ["sign"]},
    "with operations that are no list": ONE | {"key_ops": "verify"},
    "of a foreign algorithm": ONE | {"alg": "ES256"},
    "of an algorithm that PyJWT lacks": ONE | {"alg": "Ed25519"},
    "of the shared secret's algorithm": RSA | {"alg": "HS256"},
    "of RSA and small": SigningKey("x", "RS256", bits=1024).public,
    "of RSA, with 1 as exponent": RSA | {"e": "AQ"},
    "of no point of its curve": {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "x"},
    "without its point": {"kty": "OKP", "crv": "Ed25519", "kid": "x"},
    "with a number for its id": ONE | {"kid": 5},
    "with a list for its kind": {"kty": ["EC"], "kid": "x"},
    "with a list for its curve": ONE | {"crv": ["Ed25519"]},
    "with a list for its algorithm": ONE | {"alg": ["EdDSA"]},
    "without a kind": {"kid": "x"},
}


@pytest.mark.parametrize("member", IGNORED.values(), ids=IGNORED)
def test_a_key_that_cannot_verify_is_ignored(member: dict[str, Any]) -> None:
    assert [key.key_id for key in read_key_set(jwks_of(member, OURS))] == ["ours"]
    with pytest.raises(InvalidJwks, match="no key that can verify"):
        read_key_set(jwks_of(member))


@pytest.mark.parametrize(
    "more", [{"use": "sig"}, {"key_ops": ["verify"]}, {"extra": {"any": [1]}}, {"x5c": ["AAAA"]}], ids=str
)
def test_a_signing_key_of_a_supported_algorithm_is_read(more: dict[str, Any]) -> None:
    assert [key.key_id for key in read_key_set(jwks_of(OURS | more))] == ["ours"]


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not JSON"),
    "a page": (b"<html>Sign in</html>", "not JSON"),
    "UTF-16": (jwks_of(OURS).decode().encode("utf-16"), "not JSON"),
    "a member named twice": (b'{"keys":[],' + jwks_of(OURS)[1:], "not JSON"),
    "a list": (json.dumps([OURS]).encode(), "not a key set"),
    "another object": (b'{"error":"no"}', "not a key set"),
    "keys as an object": (json.dumps({"keys": {"a": OURS}}).encode(), "not a key set"),
    "null among the keys": (jwks_of(OURS, None), "not a key set"),
    "no keys": (jwks_of(), "no key that can verify"),
    "a shared secret": (jwks_of(OURS, {"kty": "oct", "kid": "y"}), "secret keys"),
    "two keys with the same id": (jwks_of(OURS, ONE | {"kid": "ours"}), "two keys with the same id"),
    "one key twice": (jwks_of(OURS, OURS), "two keys with the same id"),
    **{
        f"a private key, by its {name}": (jwks_of(OURS, ONE | {name: "AAAA"}), "secret keys")
        for name in sorted(SECRET_MEMBERS)
    },
    "a private key of an unknown kind": (jwks_of(OURS, {"kty": "AKP", "priv": "AAAA"}), "secret keys"),
}


@pytest.mark.parametrize(("document", "why"), REFUSED.values(), ids=REFUSED)
def test_a_document_that_is_no_valid_key_set_is_refused_completely(document: bytes, why: str) -> None:
    with pytest.raises(InvalidJwks, match=why):
        read_key_set(document)


def test_a_key_may_share_its_id_with_a_key_for_another_use() -> None:
    found = read_key_set(jwks_of(OURS, OURS | {"use": "enc"}))

    assert len(found) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_with_alg_allows_that_algorithm_only(algorithm: str) -> None:
    (found,) = read_key_set(jwks_of(SigningKey("x", algorithm).public))

    assert found.algorithms == (algorithm,)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_without_alg_allows_the_algorithms_of_its_type(algorithm: str) -> None:
    bare = {name: value for name, value in SigningKey("x", algorithm).public.items() if name != "alg"}

    (found,) = read_key_set(jwks_of(bare))

    assert found.algorithms == (("RS256", "PS256") if bare["kty"] == "RSA" else (algorithm,))


def test_a_token_without_kid_uses_the_only_key_that_fits() -> None:
    keys = read_key_set(jwks_of(OURS, RSA))

    assert find_key(keys, None, "EdDSA") is keys[0]
    assert find_key(keys, None, "ES256") is None
    with pytest.raises(NotAuthenticated, match="several"):
        find_key(read_key_set(jwks_of(OURS, ONE)), None, "EdDSA")


def test_a_token_with_kid_uses_that_key_or_none() -> None:
    keys = read_key_set(jwks_of(OURS, ONE))

    assert find_key(keys, "x", "EdDSA") is keys[1]
    assert find_key(keys, "y", "EdDSA") is None
    with pytest.raises(NotAuthenticated, match="another algorithm"):
        find_key(keys, "x", "ES256")
