"""Authentication settings: which tokens are accepted."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlunsplit

from app.settings.addresses import origin, web_address
from app.settings.environment import EnvironmentReader

SECRET_MIN: Final = 32  # bytes, RFC 7518 §3.2
SET_CLAIM: Final = (
    "set BETTER_AUTH_URL to the address of Better Auth, or this variable to the value in its tokens"
    " (docs/front-ends.md)"
)
NO_SOURCE: Final = (
    "BETTER_AUTH_URL is not set, so no token can be accepted: set it to the address of Better Auth "
    "(or NEON_AUTH_URL, or JWKS_URL or BETTER_AUTH_SECRET with JWT_ISSUER and JWT_AUDIENCE)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """The keys that tokens are verified with, and the claims they must have.

    At least one kind of key is set.
    """

    issuer: str  # the only accepted `iss`
    audience: str  # the only accepted `aud`
    jwks_url: str | None = None  # where public keys are fetched from
    secret: bytes | None = field(default=None, repr=False)  # HS256; 32 bytes or more
    previous_secret: bytes | None = field(default=None, repr=False)  # its tokens are accepted too


def read_auth(reader: EnvironmentReader) -> AuthSettings | None:
    """Read the authentication settings. If any is invalid, return None. The reader then has the errors."""
    before = len(reader.errors)
    better = reader.read("BETTER_AUTH_URL", web_address, None)
    neon = reader.read("NEON_AUTH_URL", web_address, None)
    jwks = reader.read("JWKS_URL", web_address, None)
    secret, previous = _read_secrets(reader)
    if reader.get("BETTER_AUTH_URL") and reader.get("NEON_AUTH_URL"):
        reader.add(
            "NEON_AUTH_URL", "contradicts BETTER_AUTH_URL: only one of them can issue the tokens; unset one"
        )
    if len(reader.errors) > before:
        return None

    auth_server = better or neon
    jwks_url = urlunsplit(jwks) if jwks else None
    if better and not jwks_url:
        jwks_url = origin(better) + (better.path.rstrip("/") or "/api/auth") + "/jwks"
    if neon and not jwks_url:
        jwks_url = origin(neon) + neon.path.rstrip("/") + "/.well-known/jwks.json"
    if not jwks_url and not secret:
        reader.errors.append(NO_SOURCE)
    default = origin(auth_server) if auth_server else None
    issuer, audience = reader.get("JWT_ISSUER") or default, reader.get("JWT_AUDIENCE") or default
    if not auth_server and (jwks_url or secret):
        for name, value in (("JWT_ISSUER", issuer), ("JWT_AUDIENCE", audience)):
            if not value:
                reader.add(name, f"is not set: {SET_CLAIM}")
    if len(reader.errors) > before or not issuer or not audience:
        return None
    return AuthSettings(
        issuer=issuer, audience=audience, jwks_url=jwks_url, secret=secret, previous_secret=previous
    )


def _read_secrets(reader: EnvironmentReader) -> tuple[bytes | None, bytes | None]:
    """Read the secret and the previous secret."""
    name = "BETTER_AUTH_SECRET_PREVIOUS"
    secret = reader.read("BETTER_AUTH_SECRET", _parse_secret, None)
    previous = reader.read(name, _parse_secret, None)
    if previous is not None and not reader.get("BETTER_AUTH_SECRET"):
        reader.add(name, "is set without BETTER_AUTH_SECRET: set that to the new secret")
    return secret, previous


def _parse_secret(text: str) -> bytes:
    secret = text.encode()
    if len(secret) < SECRET_MIN:
        raise ValueError(
            f"has {len(secret)} bytes, and HS256 needs {SECRET_MIN} or more:"
            " make one with `openssl rand -base64 32`"
        )
    return secret
