"""Which tokens are accepted, and for which person."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import KeysUnavailable, NotAuthenticated
from app.infra.auth.jwks import Jwks
from app.infra.auth.jwt_claims import SUBJECT_MAX
from app.infra.auth.jwt_verifier import JwtVerifier, issue_token
from tests.support.people import ORIGIN, TRUST
from tests.support.servers.jwks import fetched_from, jwks_server
from tests.support.signing import ALGORITHMS, CLAIMS, NOW, SigningKey, sign_bytes, sign_with_secret

KEYS = {algorithm: SigningKey(algorithm, algorithm) for algorithm in ALGORITHMS}
GOOD = {"shared": sign_with_secret(), "EdDSA": KEYS["EdDSA"].sign()}


@pytest.fixture(scope="module")
async def keys() -> AsyncIterator[Jwks]:
    """The key set of an issuer with a key of each algorithm."""
    async with jwks_server(*(key.public for key in KEYS.values())) as server, fetched_from(server) as keys:
        yield keys


@pytest.fixture(scope="module")
def verifier(keys: Jwks) -> JwtVerifier:
    """A verifier that accepts the keys and the shared secret."""
    return JwtVerifier(TRUST, keys, now=lambda: NOW)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_each_algorithm_is_accepted(algorithm: str, verifier: JwtVerifier) -> None:
    user = await verifier.verify(KEYS[algorithm].sign())

    assert user == "ann"


async def test_a_token_signed_with_the_shared_secret_is_accepted_if_a_secret_is_set(keys: Jwks) -> None:
    token = sign_with_secret()

    assert (await JwtVerifier(TRUST, keys, now=lambda: NOW).verify(token)) == "ann"
    assert (await JwtVerifier(TRUST, None, now=lambda: NOW).verify(token)) == "ann"
    with pytest.raises(NotAuthenticated, match="HS256 is not accepted"):
        await JwtVerifier(replace(TRUST, secret=None), keys, now=lambda: NOW).verify(token)
    with pytest.raises(NotAuthenticated, match="signature"):
        await JwtVerifier(replace(TRUST, secret=b"another" * 9), None, now=lambda: NOW).verify(token)


async def test_the_current_and_the_previous_secret_are_accepted_and_no_third_one() -> None:
    new, old = b"the-new-one" * 4, b"the-old-one" * 4
    trust = replace(TRUST, secret=new, previous_secret=old)
    verifier = JwtVerifier(trust, None, now=lambda: NOW)

    for secret in (new, old):
        assert (await verifier.verify(sign_with_secret(secret=secret))) == "ann"
    with pytest.raises(NotAuthenticated, match="signature"):
        await verifier.verify(sign_with_secret(secret=b"a-third-one" * 4))
    assert jwt.decode(
        issue_token(trust, user_id="ann", lifetime=9), new, algorithms=["HS256"], audience=ORIGIN
    )


async def test_given_no_key_set_then_only_the_shared_secret_is_accepted() -> None:
    with pytest.raises(NotAuthenticated, match="only HS256"):
        await JwtVerifier(TRUST, None, now=lambda: NOW).verify(KEYS["EdDSA"].sign())


async def test_a_token_without_a_key_id_is_accepted_if_exactly_one_key_fits() -> None:
    token = KEYS["EdDSA"].sign(kid=None)

    async with (
        jwks_server(KEYS["EdDSA"].public, KEYS["ES256"].public) as server,
        fetched_from(server) as one,
    ):
        assert (await JwtVerifier(TRUST, one, now=lambda: NOW).verify(token)) == "ann"
    async with (
        jwks_server(KEYS["EdDSA"].public, SigningKey("two").public) as server,
        fetched_from(server) as two,
    ):
        with pytest.raises(NotAuthenticated, match="several"):
            await JwtVerifier(TRUST, two, now=lambda: NOW).verify(token)


@pytest.mark.parametrize(
    "wrong", [{"iss": "https://evil.example"}, {"aud": "x"}, {"exp": NOW - 60}, {"sub": ""}], ids=str
)
async def test_a_token_that_would_be_refused_anyway_causes_no_fetch(wrong: dict[str, Any]) -> None:
    token = SigningKey("unknown").sign(CLAIMS | wrong)
    async with jwks_server(KEYS["EdDSA"].public) as server, fetched_from(server) as keys:
        with pytest.raises(NotAuthenticated):
            await JwtVerifier(TRUST, keys, now=lambda: NOW).verify(token)

        assert server.requests == 1


async def test_given_an_issuer_that_answers_500_then_an_unknown_key_raises_keys_unavailable() -> None:
    async with jwks_server(KEYS["EdDSA"].public) as server, fetched_from(server) as keys:
        server.behaviour = "500"

        with pytest.raises(KeysUnavailable):
            await JwtVerifier(TRUST, keys, now=lambda: NOW).verify(SigningKey("unknown").sign())


@given(data=st.data())
@settings(max_examples=300, deadline=None)
async def test_a_valid_token_with_any_change_is_refused(data: st.DataObject, verifier: JwtVerifier) -> None:
    good = data.draw(st.sampled_from(list(GOOD.values())))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(good))] * 2)))
    instead = data.draw(
        st.text("AZaz09-_.=+/ \n", max_size=4) | st.text(max_size=3) | st.just(good[end:]) | st.just(good)
    )
    changed = good[:start] + instead + good[end:]

    if changed == good:
        return
    with pytest.raises((NotAuthenticated, KeysUnavailable)):
        await verifier.verify(changed)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()), max_size=5)
    | st.sampled_from(["HS256", "EdDSA", "none", "JWT", "ann", ORIGIN, NOW]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip", "cty", "jwk"]), anything
    ),
    claims=st.dictionaries(st.sampled_from(["sub", "iss", "aud", "exp", "nbf", "iat", "jti"]), anything),
)
@settings(max_examples=300, deadline=None)
async def test_a_signed_token_with_any_claims_gives_a_valid_subject_or_is_refused(
    header: dict[str, Any], claims: dict[str, Any], verifier: JwtVerifier
) -> None:
    token = sign_with_secret(CLAIMS | claims, **header)

    try:
        user = await verifier.verify(token)
    except (NotAuthenticated, KeysUnavailable):
        return

    assert user == (CLAIMS | claims)["sub"]
    assert 1 <= len(user) <= SUBJECT_MAX


@given(header=st.binary(max_size=40), payload=st.binary(max_size=80), token=st.text(max_size=80))
@settings(max_examples=200, deadline=None)
async def test_any_bytes_are_refused_signed_or_not(
    header: bytes, payload: bytes, token: str, verifier: JwtVerifier
) -> None:
    for each in (sign_bytes(header, payload), sign_bytes(b'{"alg":"HS256"}', payload), token):
        with pytest.raises(NotAuthenticated):
            await verifier.verify(each)


async def test_an_issued_token_is_accepted_and_lasts_as_long_as_requested() -> None:
    token = issue_token(TRUST, user_id="ann", lifetime=60, now=lambda: NOW + 0.9)

    assert await JwtVerifier(TRUST, None, now=lambda: NOW).verify(token) == "ann"
    payload = jwt.decode(token, options={"verify_signature": False})
    assert payload == {"sub": "ann", "iss": ORIGIN, "aud": ORIGIN, "iat": NOW, "exp": NOW + 60}


@pytest.mark.parametrize("user_id", ["", "a\nb", "a\x9fb", "\ud800", "x" * (SUBJECT_MAX + 1)])
def test_no_token_is_issued_for_an_impossible_subject(user_id: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        issue_token(TRUST, user_id=user_id, lifetime=1)


def test_no_token_is_issued_without_a_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        issue_token(replace(TRUST, secret=None), user_id="ann", lifetime=1)
