"""The required form and claims of a token.

A token here has a valid signature if its form allows one. A test of a refused token compares the reason, because another
check could refuse the token too.
"""

import json
from typing import Any

import pytest

from app.domain.errors import NotAuthenticated
from app.infra.auth.jwt_claims import KID_MAX, LEEWAY, SUBJECT_MAX, TIME_MAX, TOKEN_MAX
from app.infra.auth.jwt_verifier import JwtVerifier
from tests.support.people import ORIGIN, TRUST
from tests.support.signing import CLAIMS, NOW, b64, sign_bytes, sign_with_secret

ABSENT = object()
ISSUER, AUDIENCE, SUBJECT = "another issuer", "another audience", "no acceptable subject"


async def verify(token: str) -> str:
    return await JwtVerifier(TRUST, None, now=lambda: NOW).verify(token)


async def why_refused(token: str) -> str:
    """Check that a token is refused, and return the reason."""
    with pytest.raises(NotAuthenticated) as raised:
        await verify(token)
    return raised.value.reason


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("sub", ABSENT, SUBJECT),
        ("sub", None, SUBJECT),
        ("sub", "", SUBJECT),
        ("sub", 5, SUBJECT),
        ("sub", True, SUBJECT),
        ("sub", ["ann"], SUBJECT),
        ("sub", "x" * (SUBJECT_MAX + 1), SUBJECT),
        ("sub", "a\nb", SUBJECT),
        ("sub", "a\0b", SUBJECT),
        ("sub", "a\x1fb", SUBJECT),
        ("sub", "a\x7fb", SUBJECT),
        ("sub", "a\x80b", SUBJECT),
        ("sub", "a\x9fb", SUBJECT),
        ("iss", ABSENT, ISSUER),
        ("iss", None, ISSUER),
        ("iss", "https://evil.example", ISSUER),
        ("iss", ORIGIN + "/", ISSUER),
        ("iss", ORIGIN.upper(), ISSUER),
        ("iss", [ORIGIN], ISSUER),
        ("aud", ABSENT, AUDIENCE),
        ("aud", None, AUDIENCE),
        ("aud", "better-auth:session-cache", AUDIENCE),
        ("aud", ORIGIN + "x", AUDIENCE),
        ("aud", [], AUDIENCE),
        ("aud", ["x"], AUDIENCE),
        ("aud", [[ORIGIN]], AUDIENCE),
        ("aud", [ORIGIN, 5], AUDIENCE),
        ("aud", {ORIGIN: 1}, AUDIENCE),
        ("exp", ABSENT, "no time of expiry"),
        ("exp", None, "exp is not a time"),
        ("exp", NOW - LEEWAY, "expired"),
        ("exp", 0, "expired"),
        ("exp", str(NOW + 900), "exp is not a time"),
        ("exp", "9_999_999_999", "exp is not a time"),
        ("exp", "１８０００００９００", "exp is not a time"),
        ("exp", True, "exp is not a time"),
        ("exp", TIME_MAX + 1, "exp is not a time"),
        ("exp", 1e300, "exp is not a time"),
        ("exp", 10**308, "exp is not a time"),
        ("exp", 10**400, "the token's payload is not strict JSON"),
        ("exp", -1, "exp is not a time"),
        ("exp", [NOW + 900], "exp is not a time"),
        ("nbf", NOW + LEEWAY + 1, "not valid yet"),
        ("nbf", "0", "nbf is not a time"),
        ("nbf", None, "nbf is not a time"),
        ("nbf", 10**308, "nbf is not a time"),
        ("iat", NOW + LEEWAY + 1, "not valid yet"),
        ("iat", "1", "iat is not a time"),
        ("iat", False, "iat is not a time"),
        ("iat", None, "iat is not a time"),
    ],
    ids=lambda value: "absent" if value is ABSENT else repr(value)[:20],
)
async def test_a_claim_that_is_absent_wrong_or_of_a_wrong_type_is_refused(
    name: str, value: object, why: str
) -> None:
    claims = {**CLAIMS, name: value}
    if value is ABSENT:
        del claims[name]

    assert why in await why_refused(sign_with_secret(claims))


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("iss", f"the token has another issuer than {ORIGIN}"),
        ("aud", f"the token is for another audience than {ORIGIN}"),
    ],
)
async def test_the_reason_names_the_expected_issuer_or_audience(claim: str, reason: str) -> None:
    assert await why_refused(sign_with_secret(CLAIMS | {claim: "https://evil.example"})) == reason


@pytest.mark.parametrize(
    "change",
    [
        {"aud": [ORIGIN]},
        {"aud": ["x", ORIGIN]},
        {"exp": NOW - LEEWAY + 1},
        {"exp": NOW + 0.5},
        {"nbf": NOW + LEEWAY},
        {"nbf": 0},
        {"iat": NOW + 2},
        {"sub": "x" * SUBJECT_MAX},
        {"sub": "ünï 🌱/"},
        {"extra": {"deep": [1]}, "sid": 5},
    ],
    ids=str,
)
async def test_a_claim_within_the_rules_is_accepted(change: dict[str, Any]) -> None:
    claims = CLAIMS | change

    assert await verify(sign_with_secret(claims)) == claims["sub"]


async def test_a_time_of_issue_is_optional() -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != "iat"}

    assert await verify(sign_with_secret(claims))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"alg": "none"}, "algorithm"),
        ({"alg": "None"}, "algorithm"),
        ({"alg": "nOnE"}, "algorithm"),
        ({"alg": "hs256"}, "algorithm"),
        ({"alg": "HS384"}, "algorithm"),
        ({"alg": "HS512"}, "algorithm"),
        ({"alg": "RS512"}, "algorithm"),
        ({"alg": "ES256K"}, "algorithm"),
        ({"alg": ""}, "algorithm"),
        ({"alg": ["HS256"]}, "algorithm"),
        ({"alg": {"HS256": 1}}, "algorithm"),
        ({"alg": None}, "algorithm"),
        ({"typ": "secevent+jwt"}, "another type"),
        ({"typ": "dpop+jwt"}, "another type"),
        ({"typ": "x/JWT"}, "another type"),
        ({"typ": ""}, "another type"),
        ({"typ": 5}, "another type"),
        ({"typ": None}, "another type"),
        ({"crit": ["exp"]}, "not supported here"),
        ({"crit": []}, "not supported here"),
        ({"crit": None}, "not supported here"),
        ({"zip": "DEF"}, "not supported here"),
        ({"cty": "JWT"}, "not supported here"),
        ({"b64": False}, "not supported here"),
        ({"b64": True}, "not supported here"),
        ({"kid": 5}, "key id"),
        ({"kid": ""}, "key id"),
        ({"kid": "x" * (KID_MAX + 1)}, "key id"),
        ({"kid": None}, "key id"),
        ({"kid": ["one"]}, "key id"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_header_outside_the_rules_is_refused(header: dict[str, Any], why: str) -> None:
    assert why in await why_refused(sign_with_secret(**header))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "jwt"},
        {"typ": "at+jwt"},
        {"typ": "AT+JWT"},
        {"typ": "application/at+jwt"},
        {"typ": "Application/JWT"},
        {"kid": "x" * KID_MAX},
        {"extra": [1]},
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_header_within_the_rules_is_accepted(header: dict[str, Any]) -> None:
    assert await verify(sign_with_secret(**header))


REST = json.dumps(CLAIMS).encode()[1:]  # the claims without the first brace


@pytest.mark.parametrize(
    ("header", "payload", "why"),
    [
        (b'{"alg":"none","alg":"HS256"}', b"{" + REST, "header is not strict JSON"),
        (b'\xef\xbb\xbf{"alg":"HS256"}', b"{" + REST, "header is not strict JSON"),
        ('{"alg":"HS256"}'.encode("utf-16"), b"{" + REST, "header is not strict JSON"),
        (b'{"alg":"HS256","x":' + b"[" * 32 + b"]" * 32 + b"}", b"{" + REST, "header is not strict JSON"),
        (b"[]", b"{" + REST, "header is not an object"),
        (b'"HS256"', b"{" + REST, "header is not an object"),
        (b'{"alg":"HS256"}', b"[]", "payload is not an object"),
        (b'{"alg":"HS256"}', b"null", "payload is not an object"),
        (b'{"alg":"HS256"}', b'{"sub":"bob",' + REST, "payload is not strict JSON"),
        (b'{"alg":"HS256"}', b'{"x":NaN,' + REST, "payload is not strict JSON"),
        (b'{"alg":"HS256"}', b'{"x":1e999,' + REST, "payload is not strict JSON"),
        (b'{"alg":"HS256"}', b'{"x":"\\ud800",' + REST, "payload is not strict JSON"),
        (b'{"alg":"HS256"}', b'{"x":"\xff",' + REST, "payload is not strict JSON"),
        (b'{"alg":"HS256"}', b'{"x":' + b"[" * 32 + b"]" * 32 + b"," + REST, "payload is not strict JSON"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_ambiguous_json_in_a_token_is_refused(header: bytes, payload: bytes, why: str) -> None:
    assert why in await why_refused(sign_bytes(header, payload))


def with_spare_bits(part: str) -> str:
    """Encode the same bytes differently: change bits of the last letter that belong to no byte."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(part) % 4
    return part[:-1] + letters[letters.index(part[-1]) + 1]


@pytest.mark.parametrize("place", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize(
    "corrupt",
    [
        lambda part: part + "=" * (-len(part) % 4),
        with_spare_bits,
        "{}==".format,
        "{}\n".format,
        " {}".format,
        "{}*".format,
    ],
    ids=["padding", "spare bits", "more padding", "a line break", "a space", "another letter"],
)
async def test_a_part_that_is_not_exactly_base64url_is_refused(place: int, corrupt: Any) -> None:
    header, claims = json.dumps({"alg": "HS256"}).encode(), json.dumps(CLAIMS).encode()
    # With these spaces the base64url of each part has spare bits, and would have padding.
    header, claims = (part + b" " * ((1 - len(part)) % 3) for part in (header, claims))
    parts = sign_bytes(header, claims).split(".")
    assert await verify(".".join(parts))

    parts[place] = corrupt(parts[place])

    assert "base64url" in await why_refused(".".join(parts))


async def test_the_other_base64_alphabet_is_refused() -> None:
    payload = next(
        text
        for number in range(1000)
        if "_" in b64(text := json.dumps(CLAIMS | {"x": f"???{number}"}).encode())
    )
    header, body, signature = sign_bytes(b'{"alg":"HS256"}', payload).split(".")

    assert "base64url" in await why_refused(f"{header}.{body.replace('_', '/')}.{signature}")


@pytest.mark.parametrize("token", ["", ".", "a.b", "{}.", "{}.e30", "e30.e30.e30.e30.e30", "{}" + ".e30" * 2])
async def test_a_token_without_three_parts_is_refused(token: str) -> None:
    assert "three parts" in await why_refused(token.format(sign_with_secret()))


@pytest.mark.parametrize("token", ["..", "e30..", ".e30.", "e30.e30.", "é.e30.e30", "e30.e30.\ud800"])
async def test_a_part_that_is_empty_or_not_ascii_is_refused(token: str) -> None:
    assert "base64url" in await why_refused(token)


async def test_a_token_over_8_kb_is_refused_before_it_is_read() -> None:
    shortest = len(sign_with_secret(CLAIMS | {"x": ""}))
    fits = sign_with_secret(CLAIMS | {"x": "y" * ((TOKEN_MAX - shortest) * 3 // 4 - 2)})
    assert TOKEN_MAX - 4 <= len(fits) <= TOKEN_MAX
    assert await verify(fits)

    assert "too long" in await why_refused(sign_with_secret(CLAIMS | {"x": "y" * (TOKEN_MAX * 3 // 4)}))


async def test_a_reason_never_quotes_the_token() -> None:
    hostile = "quoted-secret"
    tokens = [
        sign_with_secret(CLAIMS | {"sub": hostile + "\n"}),
        sign_with_secret(CLAIMS | {"iss": hostile}),
        sign_with_secret(CLAIMS | {"aud": hostile}),
        sign_with_secret(CLAIMS | {"exp": hostile}),
        sign_with_secret(CLAIMS, alg=hostile),
        sign_with_secret(CLAIMS, typ=hostile),
        sign_with_secret(CLAIMS, kid=[hostile]),
        sign_with_secret(CLAIMS, secret=b"another" * 9, kid=hostile),
        sign_bytes(hostile.encode(), b"{}"),
        sign_bytes(b'{"alg":"HS256"}', b'{"%s":1,"%s":1}' % (hostile.encode(), hostile.encode())),
    ]

    for token in tokens:
        reason = await why_refused(token)
        assert hostile not in reason
        assert not any(part in reason for part in token.split("."))
