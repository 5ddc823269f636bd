"""The attacks of RFC 8725 and its errata, tried on the verifier."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.domain.errors import NotAuthenticated
from app.infra.auth.jwks import Jwks
from app.infra.auth.jwt_verifier import JwtVerifier
from tests.support.people import TRUST
from tests.support.servers.jwks import fetched_from, jwks_server
from tests.support.signing import ALGORITHMS, CLAIMS, NOW, SigningKey, b64, sign_with_secret

KEYS = {algorithm: SigningKey(algorithm, algorithm) for algorithm in ALGORITHMS}
ATTACKERS_KEYS = {algorithm: SigningKey(algorithm, algorithm) for algorithm in ALGORITHMS}
HEADER, BODY = b'{"alg":"%s","kid":"EdDSA"}', json.dumps(CLAIMS).encode()


@pytest.fixture(scope="module")
async def keys() -> AsyncIterator[Jwks]:
    """The key set of an issuer with a key of each algorithm."""
    async with jwks_server(*(key.public for key in KEYS.values())) as server, fetched_from(server) as keys:
        yield keys


@pytest.fixture(scope="module", params=["with the secret", "without"])
def verifier(keys: Jwks, request: pytest.FixtureRequest) -> JwtVerifier:
    """A verifier with the key set, once with a shared secret too, and once without."""
    trust = TRUST if request.param == "with the secret" else replace(TRUST, secret=None)
    return JwtVerifier(trust, keys, now=lambda: NOW)


async def why_refused(verifier: JwtVerifier, token: str) -> str:
    """Check that a token is refused, and return the reason."""
    with pytest.raises(NotAuthenticated) as raised:
        await verifier.verify(token)
    return raised.value.reason


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
async def test_a_token_that_nobody_signed_is_refused(algorithm: str, verifier: JwtVerifier) -> None:
    header = b64(HEADER % algorithm.encode())

    for signature in ("", b64(b"x"), KEYS["EdDSA"].sign().rsplit(".", 1)[1]):
        await why_refused(verifier, f"{header}.{b64(BODY)}.{signature}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_signature_of_an_unknown_key_is_refused(algorithm: str, verifier: JwtVerifier) -> None:
    assert "signature" in await why_refused(verifier, ATTACKERS_KEYS[algorithm].sign())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_signature_of_zeros_is_refused(algorithm: str, verifier: JwtVerifier) -> None:
    header, body, _ = KEYS[algorithm].sign().split(".")

    for length in (1, 64, 96, 132, 256):
        assert "signature" in await why_refused(verifier, f"{header}.{body}.{b64(bytes(length))}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_with_the_payload_of_another_is_refused(algorithm: str, verifier: JwtVerifier) -> None:
    header, _, signature = KEYS[algorithm].sign().split(".")
    _, body, _ = KEYS[algorithm].sign(CLAIMS | {"sub": "bob"}).split(".")

    assert "signature" in await why_refused(verifier, f"{header}.{body}.{signature}")


@pytest.mark.parametrize("with_kid", [True, False])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_public_key_is_not_accepted_as_the_shared_secret(
    algorithm: str,
    with_kid: bool,  # noqa: FBT001 - a case
    verifier: JwtVerifier,
) -> None:
    public = KEYS[algorithm].private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = KEYS[algorithm].public
    secrets = [
        pem,
        pem.strip(),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk).encode(),
        json.dumps(jwk, separators=(",", ":")).encode(),
        *(jwk[part].encode() for part in ("x", "n") if part in jwk),
    ]

    header: dict[str, Any] = {"kid": algorithm} if with_kid else {}
    for secret in secrets:
        await why_refused(verifier, sign_with_secret(secret=secret, **header))


async def test_a_key_of_the_set_is_never_used_with_the_shared_secret(keys: Jwks) -> None:
    both = JwtVerifier(TRUST, keys, now=lambda: NOW)

    assert "another algorithm" in await why_refused(both, sign_with_secret(kid="EdDSA"))


@pytest.mark.parametrize("kid", ALGORITHMS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_is_accepted_only_if_its_kid_names_a_key_of_its_algorithm(
    algorithm: str, kid: str, verifier: JwtVerifier
) -> None:
    token = KEYS[algorithm].sign(kid=kid)

    if algorithm == kid:
        assert (await verifier.verify(token)) == "ann"
    else:
        assert "another algorithm" in await why_refused(verifier, token)


async def test_a_key_for_one_rsa_algorithm_is_refused_for_another(verifier: JwtVerifier) -> None:
    as_pss = KEYS["RS256"].sign(algorithm="PS256")
    as_pkcs1 = KEYS["PS256"].sign(algorithm="RS256")

    assert "another algorithm" in await why_refused(verifier, as_pss)
    assert "another algorithm" in await why_refused(verifier, as_pkcs1)


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": ATTACKERS_KEYS["EdDSA"].public},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/certificate"},
        {"x5c": ["AAAA"]},
    ],
    ids=lambda header: next(iter(header)),
)
async def test_a_key_in_the_header_of_a_token_is_ignored(
    header: dict[str, Any], verifier: JwtVerifier
) -> None:
    assert "signature" in await why_refused(verifier, ATTACKERS_KEYS["EdDSA"].sign(**header))
    assert (await verifier.verify(KEYS["EdDSA"].sign(**header))) == "ann"


@pytest.mark.parametrize(
    "key_id",
    ["../../etc/passwd", "' OR 1=1 --", "https://evil.example", "\0", "EdDSA\0", "eddsa", "EdDSA ", "🌱"],
)
async def test_a_hostile_key_id_matches_no_key(key_id: str, keys: Jwks) -> None:
    class WithoutMatch(Jwks):
        async def find(self, key_id: str | None, algorithm: str) -> Any:
            assert not keys.has(key_id)
            raise NotAuthenticated("unknown")

    verifier = JwtVerifier(TRUST, WithoutMatch("http://127.0.0.1:1/"), now=lambda: NOW)

    assert await why_refused(verifier, ATTACKERS_KEYS["EdDSA"].sign(kid=key_id)) == "unknown"


async def test_a_token_within_a_token_is_refused(verifier: JwtVerifier) -> None:
    inner = KEYS["EdDSA"].sign().encode()

    nested = jwt.PyJWS().encode(inner, KEYS["EdDSA"].private, "EdDSA", headers={"kid": "EdDSA", "cty": "JWT"})

    assert "not supported here" in await why_refused(verifier, nested)


async def test_an_encrypted_token_is_refused(verifier: JwtVerifier) -> None:
    header = b64(b'{"alg":"RSA-OAEP","enc":"A256GCM"}')

    assert "three parts" in await why_refused(verifier, f"{header}.AAAA.AAAA.AAAA.AAAA")


async def test_tokens_signed_with_the_same_secret_for_other_purposes_are_refused() -> None:
    """Better Auth signs such tokens for the verification of e-mail addresses and for its session cache."""
    only_secret = JwtVerifier(TRUST, None, now=lambda: NOW)
    times = {"iat": NOW, "exp": NOW + 3600}

    await why_refused(only_secret, sign_with_secret({"email": "ann@example.com", "userId": "ann", **times}))
    await why_refused(
        only_secret, sign_with_secret({"session": {"token": "x"}, "user": {"id": "ann"}, **times})
    )
    await why_refused(only_secret, sign_with_secret(CLAIMS | {"aud": "better-auth:session-cache"}))
