"""Whatever a token looks like, it is refused or understood in the one way in which PyJWT understands it."""

import base64
import json
from typing import Any

import jwt
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.errors import NotAuthenticated
from app.infra.auth.jwk import InvalidJwks, Key, read
from app.infra.auth.jwt_claims import TIME_MAX, Claims, decode_unverified, is_subject, read_claims
from app.infra.auth.jwt_verifier import refuse_outside_lifetime
from tests.fuzz.effort import effort
from tests.fuzz.near import changed, json_near, objects_near, texts
from tests.support.people import ORIGIN
from tests.support.signing import ALGORITHMS, CLAIMS, NOW, SigningKey, b64, shared, written

HEADERS = ({"alg": "HS256"}, {"alg": "EdDSA", "kid": "one", "typ": "JWT"}, {"alg": "ES256", "crit": ["b64"]})
PAYLOADS = (CLAIMS, {**CLAIMS, "aud": [ORIGIN, "x"], "nbf": NOW - 5.5, "jti": "7", "sub": "ä/ %?"})
PUBLIC = tuple(SigningKey(name, name).public for name in ALGORITHMS)
CODINGS = (
    b64,
    lambda raw: base64.b64encode(raw).decode(),
    lambda raw: base64.urlsafe_b64encode(raw).decode(),
)


def understood(token: str) -> tuple[dict[str, Any], Claims] | None:
    """Return what a token says; None where it is refused."""
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
def test_a_token_that_is_almost_one_is_refused_or_understood_as_pyjwt_does(
    header: bytes, payload: bytes, coding: Any, signature: bytes
) -> None:
    token = ".".join(map(coding, (header, payload, signature)))

    verified = understood(token)

    if verified is not None:
        whole, principal = verified
        assert jwt.get_unverified_header(token) == json.loads(header)
        assert jwt.decode(token, options={"verify_signature": False}) == whole == json.loads(payload)
        assert is_subject(principal.subject)
        assert principal.subject == whole["sub"]
        assert 0 <= principal.not_before <= TIME_MAX
        assert NOW - 30 <= principal.expires <= TIME_MAX


@given(token=changed(shared(), texts) | changed(".".join([b64(b"{}")] * 3), texts) | texts)
@example(token="")
@example(token="..")
@example(token="\ud800.\ud800.\ud800")
@effort(500)
def test_a_text_that_is_almost_a_token_is_refused_or_understood(token: str) -> None:
    verified = understood(token)

    assert verified is None or is_subject(verified[1].subject)


@given(payload=objects_near(PAYLOADS), now=st.sampled_from([0.0, NOW - 41, NOW, NOW + 931, 2.0**41]))
@example(payload={**CLAIMS, "exp": 10**400}, now=NOW)
@effort(400)
def test_any_claims_are_accepted_or_refused(payload: dict[str, Any], now: float) -> None:
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
    bent=st.booleans(),
    data=st.data(),
)
@effort(300)
def test_a_document_that_is_almost_a_key_set_is_refused_or_holds_keys_that_can_verify(
    keys: list[dict[str, Any]],
    bent: bool,  # noqa: FBT001 - a case
    data: st.DataObject,
) -> None:
    document = written(*keys)
    if bent:
        document = data.draw(changed(document, st.binary(max_size=6)))

    try:
        found = read(document)
    except InvalidJwks:
        return

    assert found
    for key in found:
        refuses_a_bad_signature(key)


def refuses_a_bad_signature(key: Key) -> None:
    """Use a key as the verifier would: it may refuse, and must not break."""
    assert set(key.algorithms) <= set(ALGORITHMS)
    for algorithm in key.algorithms:
        try:
            jwt.decode(shared(alg=algorithm), key.material, algorithms=[algorithm], audience=ORIGIN)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
            continue
        raise AssertionError("a bad signature was believed")
