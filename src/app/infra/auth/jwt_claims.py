"""Checks that PyJWT leaves to its caller (RFC 8725, RFC 7519). An error never quotes the token."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Final

from app import strict_json
from app.domain.errors import Mistake, NotAuthenticated

TOKEN_MAX: Final = 8192  # characters
KID_MAX: Final = 255  # characters
SUBJECT_MAX: Final = 255  # characters
TIME_MAX: Final = 2**40  # seconds since 1970: the year 36812, safely within every float
LEEWAY: Final = 30  # seconds of clock skew that are tolerated, as in PostgREST
TYPES: Final = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")  # RFC 7515 §4.1.9, RFC 9068
REFUSED_HEADERS: Final = ("crit", "zip", "cty", "b64")  # each would change the meaning of the token
ALGORITHMS: Final = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "PS256", "HS256")

_UNFIT_FOR_SUBJECT: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Header:
    """The part of a token's header that concerns its signature."""

    algorithm: str
    key_id: str | None


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token that the service uses, well-formed."""

    subject: str
    expires: float  # seconds since 1970
    not_before: float  # seconds since 1970: the later of `nbf` and `iat`; 0 if both are absent


def decode_unverified(token: str) -> tuple[Header, dict[str, Any]]:
    """Return header and payload, not verified; raise NotAuthenticated if they can never be accepted."""
    parts = token.split(".", 3)
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        raise NotAuthenticated("the token has not three parts", Mistake.NOT_A_JWT)
    header, payload, _ = [_decode_part(part) for part in parts]
    return _header(_object(header, "header")), _object(payload, "payload")


def read_claims(payload: dict[str, Any], *, issuer: str, audience: str) -> Claims:
    """Check issuer, audience and subject, and return the claims. Times are not compared with the clock.

    Raises:
        NotAuthenticated: a claim is missing or wrong.
    """
    if payload.get("iss") != issuer:
        raise NotAuthenticated(f"the token has another issuer than {issuer}")
    audiences = payload.get("aud")
    listed = audiences if isinstance(audiences, list) else [audiences]
    if audience not in listed or not all(isinstance(each, str) for each in listed):
        raise NotAuthenticated(f"the token is for another audience than {audience}")
    subject = payload.get("sub")
    if not isinstance(subject, str) or not is_subject(subject):
        raise NotAuthenticated("the token has no acceptable subject")
    if "exp" not in payload:
        raise NotAuthenticated("the token has no time of expiry")
    expires, issued = _time(payload, "exp"), _time(payload, "iat")
    return Claims(subject, expires, max(issued, _time(payload, "nbf")))


def is_subject(text: str) -> bool:
    """Return whether a text can be a user id: 1 to 255 characters, no control character or lone surrogate."""
    return 1 <= len(text) <= SUBJECT_MAX and not _UNFIT_FOR_SUBJECT.search(text)


def _decode_part(part: str) -> bytes:
    try:
        raw = urlsafe_b64decode(part + "=" * (-len(part) % 4))
        # Python accepts padding, spare bits and other letters; a token must not have them.
        exact = urlsafe_b64encode(raw).rstrip(b"=") == part.encode("ascii")
    except ValueError:
        exact = False
    if not part or not exact:
        raise NotAuthenticated("the token is not base64url")
    return raw


def _object(raw: bytes, name: str) -> dict[str, Any]:
    try:
        value = strict_json.loads(raw)
    except strict_json.NotStrictJson as error:
        raise NotAuthenticated(f"the token's {name} is not strict JSON") from error
    if not isinstance(value, dict):
        raise NotAuthenticated(f"the token's {name} is not an object")
    return value


def _header(header: dict[str, Any]) -> Header:
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise NotAuthenticated("the token's algorithm is not accepted")
    if "kid" in header and not (isinstance(key_id, str) and 1 <= len(key_id) <= KID_MAX):
        raise NotAuthenticated("the token's key id is malformed")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise NotAuthenticated("the token is of another type")
    if any(name in header for name in REFUSED_HEADERS):
        raise NotAuthenticated("the token's header has a parameter that is not supported here")
    return Header(algorithm, key_id)


def _time(payload: dict[str, Any], name: str) -> float:
    value = payload.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= TIME_MAX:
        raise NotAuthenticated(f"the token's {name} is not a time")
    return float(value)
