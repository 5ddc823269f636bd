"""Any token is either refused, or decoded to the same payload as by PyJWT."""

import base64
import json
from typing import Any

import jwt
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.errors import NotAuthenticated
from app.infra.auth.jwk import InvalidJwks, Key, read_key_set
from app.infra.auth.jwt_claims import TIME_MAX, Claims, decode_unverified, is_subject, read_claims
from app.infra.auth.jwt_verifier import refuse_outside_lifetime
from tests.fuzz.effort import effort
from tests.fuzz.near import changed, json_near, objects_near, texts
from tests.support.people import ORIGIN
from tests.support.signing import ALGORITHMS, CLAIMS, NOW, SigningKey, b64, jwks_of, sign_with_secret

HEADERS = ({"alg": "HS256"}, {"alg": "EdDSA", "kid": "one", "typ": "JWT"}, {"alg": "ES256", "crit": ["b64"]})
PAYLOADS = (CLAIMS, {**CLAIMS, "aud": [ORIGIN, "x"], "nbf": NOW - 5.5, "jti": "7", "sub": "ä/ %?"})
PUBLIC = tuple(SigningKey(name, name).public for name in ALGORITHMS)
CODINGS = (
    b64,
    lambda raw: base64.b64encode(raw).decode(),
    lambda raw: base64.urlsafe_b64encode(raw).decode(),
)


def decode_or_none(token: str) -> tuple[dict[str, Any], Claims] | None:
    """Return the payload and the claims of a token, without a check of its signature; None if it is refused."""
    try:
        _, payload = decode_unverified(token)
        return payload, read_claims(payload, issuer=ORIGIN, audience=ORIGIN)
    except NotAuthenticated as refused:
        assert len(token) < 8 or token not in refused.reason
        return None


@given(
    header=json_near(HEADERS),
    payload=json_near(PAYLOADS),
    coding=st.sampled_from(CODINGS),
    signature=st.binary(max_size=70),
)
@effort(500)
def test_a_nearly_valid_token_is_refused_or_decoded_as_by_pyjwt(
    header: bytes, payload: bytes, coding: Any, signature: bytes
) -> None:
    token = ".".join(map(coding, (header, payload, signature)))

    decoded = decode_or_none(token)

    if decoded is not None:
        whole, claims = decoded
        assert jwt.get_unverified_header(token) == json.loads(header)
        assert jwt.decode(token, options={"verify_signature": False}) == whole == json.loads(payload)
        assert is_subject(claims.subject)
        assert claims.subject == whole["sub"]
        assert 0 <= claims.not_before <= TIME_MAX
        assert 0 <= claims.expires <= TIME_MAX


@given(token=changed(sign_with_secret(), texts) | changed(".".join([b64(b"{}")] * 3), texts) | texts)
@example(token="")
@example(token="..")
@example(token="\ud800.\ud800.\ud800")
@effort(500)
def test_any_text_like_a_token_is_refused_or_has_a_valid_subject(token: str) -> None:
    decoded = decode_or_none(token)

    assert decoded is None or is_subject(decoded[1].subject)


@given(payload=objects_near(PAYLOADS), now=st.sampled_from([0.0, NOW - 41, NOW, NOW + 931, 2.0**41]))
@example(payload={**CLAIMS, "exp": 10**400}, now=NOW)
@effort(400)
def test_any_claims_are_refused_or_have_the_right_issuer_audience_and_times(
    payload: dict[str, Any], now: float
) -> None:
    try:
        claims = read_claims(payload, issuer=ORIGIN, audience=ORIGIN)
        refuse_outside_lifetime(claims, now)
    except NotAuthenticated:
        return

    assert payload["iss"] == ORIGIN
    assert payload["aud"] == ORIGIN or ORIGIN in payload["aud"]
    assert claims.not_before - 30 <= now < claims.expires + 30


@given(
    keys=st.lists(objects_near(PUBLIC), max_size=3),
    corrupted=st.booleans(),
    data=st.data(),
)
@effort(300)
def test_any_document_like_a_key_set_is_refused_or_has_keys_that_refuse_a_bad_signature(
    keys: list[dict[str, Any]],
    corrupted: bool,  # noqa: FBT001 - drawn by hypothesis
    data: st.DataObject,
) -> None:
    document = jwks_of(*keys)
    if corrupted:
        document = data.draw(changed(document, st.binary(max_size=6)))

    try:
        found = read_key_set(document)
    except InvalidJwks:
        return

    assert found
    for key in found:
        assert_that_a_key_refuses_a_bad_signature(key)


def assert_that_a_key_refuses_a_bad_signature(key: Key) -> None:
    """Check that a badly signed token raises one of the errors that the verifier handles, with this key."""
    assert set(key.algorithms) <= set(ALGORITHMS)
    for algorithm in key.algorithms:
        try:
            jwt.decode(sign_with_secret(alg=algorithm), key.material, algorithms=[algorithm], audience=ORIGIN)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
            continue
        raise AssertionError("a token with a bad signature was accepted")
