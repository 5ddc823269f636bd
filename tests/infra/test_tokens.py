"""What a token must be to be believed; each refusal was seen to fail with its line taken out.

The list follows RFC 8725 and RFC 7519, and what PyJWT leaves to its caller.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import KeysUnavailable, NotAuthenticated
from app.infra.key_set import read
from app.infra.keys import KeySet
from app.infra.token_claims import LEEWAY
from app.infra.tokens import JwtVerifier, issue_token
from tests.people import ORIGIN, SECRET, TRUST

NOW = 1_800_000_000.0
GOOD: dict[str, Any] = {"sub": "ann", "iss": ORIGIN, "aud": ORIGIN, "iat": NOW - 10, "exp": NOW + 900}

PRIVATE: dict[str, Any] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}
PRIVATE["PS256"] = PRIVATE["RS256"]


def jwk_of(algorithm: str, **members: Any) -> dict[str, Any]:
    """Return the public key of an algorithm, named like it."""
    written = jwt.get_algorithm_by_name(algorithm).to_jwk(PRIVATE[algorithm].public_key(), as_dict=True)
    return {**written, "kid": algorithm, "alg": algorithm, **members}


def key_set(*members: dict[str, Any]) -> KeySet:
    """Return keys that are there, and an issuer that is not."""
    keys = KeySet("http://127.0.0.1:1/none")
    keys._keys = read(json.dumps({"keys": members}).encode())
    keys._fetched = keys._clock()
    return keys


ALL_KEYS = key_set(*(jwk_of(algorithm) for algorithm in PRIVATE))
TRUST_BOTH = replace(TRUST, jwks_url="http://127.0.0.1:1/none")


def verifier(keys: KeySet | None = ALL_KEYS, now: float = NOW) -> JwtVerifier:
    return JwtVerifier(TRUST_BOTH, keys, now=lambda: now)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def signed(header: bytes, payload: bytes, secret: bytes = SECRET) -> str:
    """Sign any bytes with HS256, as no library would."""
    start = f"{b64(header)}.{b64(payload)}"
    return f"{start}.{b64(hmac.digest(secret, start.encode(), hashlib.sha256))}"


def token_of(header: Any = None, payload: Any = None) -> str:
    header = {"alg": "HS256", **(header or {})}
    return signed(json.dumps(header).encode(), json.dumps(GOOD if payload is None else payload).encode())


async def believed(token: str, by: JwtVerifier | None = None) -> bool:
    try:
        await (by or verifier()).verify(token)
    except NotAuthenticated:
        return False
    return True


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_a_token_of_each_algorithm_is_believed(algorithm: str) -> None:
    token = jwt.encode(GOOD, PRIVATE[algorithm], algorithm, headers={"kid": algorithm})

    assert (await verifier().verify(token)).user_id == "ann"


async def test_a_token_of_the_shared_secret_is_believed_with_it_and_without_it_not() -> None:
    token = issue_token(TRUST, user_id="ann", lifetime=60, now=lambda: NOW)

    assert (await verifier().verify(token)).user_id == "ann"
    assert not await believed(token, JwtVerifier(replace(TRUST_BOTH, secret=None), ALL_KEYS, now=lambda: NOW))
    assert not await believed(
        token_of(), JwtVerifier(replace(TRUST, secret=b"another" * 9), None, now=lambda: NOW)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": ["ann"]},
        {"sub": "x" * 256},
        {"sub": "a\nb"},
        {"sub": "a\0b"},
        {"sub": "a\x7fb"},
        {"sub": "a\x85b"},
        {"iss": None},
        {"iss": "https://evil.example"},
        {"iss": ORIGIN + "/"},
        {"iss": [ORIGIN]},
        {"aud": None},
        {"aud": "better-auth:session-cache"},
        {"aud": []},
        {"aud": ["x"]},
        {"aud": [ORIGIN, 5]},
        {"aud": {ORIGIN: 1}},
        {"exp": None},
        {"exp": NOW - LEEWAY},
        {"exp": str(NOW + 900)},
        {"exp": "9_999_999_999"},
        {"exp": True},
        {"exp": 2**41},
        {"exp": 10**400},
        {"exp": -1},
        {"exp": [NOW + 900]},
        {"nbf": NOW + LEEWAY + 1},
        {"nbf": "0"},
        {"nbf": None},
        {"iat": NOW + LEEWAY + 1},
        {"iat": "1"},
    ],
    ids=str,
)
async def test_a_claim_that_is_absent_wrong_or_of_a_wrong_type_is_refused(change: dict[str, Any]) -> None:
    absent = [name for name, value in change.items() if value is None and name != "nbf"]
    payload = {name: value for name, value in (GOOD | change).items() if name not in absent}

    assert not await believed(token_of(payload=payload))


@pytest.mark.parametrize(
    "change",
    [
        {"aud": [ORIGIN]},
        {"aud": ["x", ORIGIN]},
        {"exp": NOW - LEEWAY + 1},
        {"exp": NOW + 0.5},
        {"nbf": NOW + LEEWAY},
        {"iat": NOW + 2},
        {"sub": "x" * 255},
        {"sub": "ünï 🌱/"},
        {"extra": {"deep": [1]}},
    ],
    ids=str,
)
async def test_a_claim_within_the_rules_is_believed(change: dict[str, Any]) -> None:
    assert await believed(token_of(payload=GOOD | change))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "hs256"},
        {"alg": "HS384"},
        {"alg": ["HS256"]},
        {"alg": None},
        {"typ": "at+jwt2"},
        {"typ": "secevent+jwt"},
        {"typ": 5},
        {"typ": None},
        {"crit": ["exp"]},
        {"crit": []},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"b64": False},
        {"kid": 5},
        {"kid": ""},
        {"kid": "x" * 256},
        {"kid": None},
    ],
    ids=str,
)
async def test_a_header_that_asks_for_something_else_is_refused(header: dict[str, Any]) -> None:
    assert not await believed(token_of(header))


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"typ": "at+jwt"}, {"typ": "application/JWT"}, {"kid": "x"}], ids=str
)
async def test_a_header_within_the_rules_is_believed(header: dict[str, Any]) -> None:
    assert await believed(token_of(header))


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"HS256","alg":"HS256"}', b""),
        (b'\xef\xbb\xbf{"alg":"HS256"}', b""),
        ('{"alg":"HS256"}'.encode("utf-16"), b""),
        (b"[]", b""),
        (b"", b'{"sub":"ann","sub":"bob",'),
        (b"", b'{"x":NaN,'),
        (b"", b'{"x":1e999,'),
        (b"", b'{"x":"\\ud800",'),
        (b"", b'{"x":' + b"[" * 40 + b"]" * 40 + b","),
        (b"", b'{"x":"\xff",'),
    ],
    ids=str,
)
async def test_json_that_another_reader_may_understand_otherwise_is_refused(
    header: bytes, payload: bytes
) -> None:
    rest = json.dumps(GOOD).encode()[1:]

    assert not await believed(signed(header or b'{"alg":"HS256"}', (payload or b"{") + rest))


@pytest.mark.parametrize(
    "spoil", ["{}=", " {}", "{}\n", "{}.", "a.{}", "+{}", "{}é", "{}" + "x" * 9000, "", "..", "a.b", "a.b.c"]
)
async def test_a_token_that_is_not_exactly_three_parts_of_base64url_is_refused(spoil: str) -> None:
    assert not await believed(spoil.format(token_of()))


async def test_a_token_over_8_kb_is_refused_before_it_is_read() -> None:
    assert not await believed(token_of(payload=GOOD | {"x": "y" * 8192}))


@pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo])
async def test_a_public_key_is_no_shared_secret(form: PublicFormat) -> None:
    keys = key_set(jwk_of("RS256"))
    no_secret = JwtVerifier(replace(TRUST_BOTH, secret=None), keys, now=lambda: NOW)
    public = PRIVATE["RS256"].public_key()
    for material in (
        public.public_bytes(Encoding.PEM, form),
        public.public_bytes(Encoding.DER, form),
        json.dumps(jwk_of("RS256")).encode(),
    ):
        for header in (b'{"alg":"HS256","kid":"RS256"}', b'{"alg":"HS256"}'):
            forged = signed(header, json.dumps(GOOD).encode(), material)

            assert not await believed(forged, no_secret)
            assert not await believed(forged)


async def test_a_key_is_bound_to_its_algorithm() -> None:
    as_ps = jwt.encode(GOOD, PRIVATE["RS256"], "PS256", headers={"kid": "RS256"})
    as_rs = jwt.encode(GOOD, PRIVATE["RS256"], "RS256", headers={"kid": "RS256"})
    by_another = jwt.encode(GOOD, PRIVATE["ES256"], "ES256", headers={"kid": "EdDSA"})

    assert [await believed(token) for token in (as_ps, as_rs, by_another)] == [False, True, False]


async def test_a_signature_by_another_key_of_the_same_kind_is_refused() -> None:
    forged = jwt.encode(GOOD, ed25519.Ed25519PrivateKey.generate(), "EdDSA", headers={"kid": "EdDSA"})

    assert not await believed(forged)


async def test_a_token_without_a_key_id_is_believed_where_one_key_alone_fits() -> None:
    token = jwt.encode(GOOD, PRIVATE["EdDSA"], "EdDSA")
    other = ed25519.Ed25519PrivateKey.generate()
    second = jwt.get_algorithm_by_name("EdDSA").to_jwk(other.public_key(), as_dict=True)

    assert await believed(token, verifier(key_set(jwk_of("EdDSA"), jwk_of("ES256"))))
    assert not await believed(token, verifier(key_set(jwk_of("EdDSA"), {**second, "kid": "two"})))


async def test_a_token_that_is_remembered_still_expires() -> None:
    clock = [NOW]
    judge = JwtVerifier(TRUST, None, now=lambda: clock[0])
    token = token_of()
    await judge.verify(token)

    clock[0] = NOW + 900 + LEEWAY

    assert not await believed(token, judge)


async def test_when_a_key_leaves_the_set_its_remembered_tokens_die() -> None:
    keys = key_set(jwk_of("EdDSA"), jwk_of("ES256"))
    judge = verifier(keys)
    token = jwt.encode(GOOD, PRIVATE["EdDSA"], "EdDSA", headers={"kid": "EdDSA"})
    await judge.verify(token)

    keys._keys = read(json.dumps({"keys": [jwk_of("ES256")]}).encode())
    keys.generation += 1

    with pytest.raises((NotAuthenticated, KeysUnavailable)):
        await judge.verify(token)


async def test_the_memory_of_tokens_is_bounded() -> None:
    judge = JwtVerifier(TRUST, None, now=lambda: NOW)
    judge._cache._size = 3

    for number in range(10):
        await judge.verify(token_of(payload=GOOD | {"sub": str(number)}))

    assert len(judge._cache._entries) == 3


async def test_a_refused_token_is_not_remembered_and_a_reason_never_quotes_it() -> None:
    judge = JwtVerifier(TRUST, None, now=lambda: NOW)
    token = token_of(payload=GOOD | {"sub": "very-secret\n"})

    with pytest.raises(NotAuthenticated) as raised:
        await judge.verify(token)

    assert not judge._cache._entries
    assert "secret" not in raised.value.reason
    assert token[:20] not in raised.value.reason


@given(data=st.data())
@settings(max_examples=300, deadline=None)
async def test_whatever_becomes_of_a_good_token_it_is_believed_whole_or_refused(data: st.DataObject) -> None:
    good = token_of()
    position = data.draw(st.integers(0, len(good) - 1))
    bad = good[:position] + data.draw(st.text(max_size=3)) + good[position + data.draw(st.integers(0, 3)) :]

    assert await believed(bad) in ({True, False} if jwt_parts_equal(bad, good) else {False})


def jwt_parts_equal(one: str, other: str) -> bool:
    """Tell whether two tokens decode to the same bytes: base64url's last character has spare bits."""
    try:
        parts = [
            [base64.urlsafe_b64decode(part + "==") for part in token.split(".")] for token in (one, other)
        ]
    except ValueError:
        return False
    return parts[0] == parts[1]


@given(header=st.binary(max_size=40), payload=st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
async def test_any_bytes_with_a_good_signature_are_refused(header: bytes, payload: bytes) -> None:
    assert not await believed(signed(header, payload))


@pytest.mark.parametrize("user_id", ["", "a\nb", "x" * 256])
def test_no_token_is_issued_for_an_impossible_subject(user_id: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        issue_token(TRUST, user_id=user_id, lifetime=1)


def test_no_token_is_issued_without_a_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        issue_token(replace(TRUST, secret=None), user_id="ann", lifetime=1)
