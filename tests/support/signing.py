"""Keys that sign tokens, and tokens that no library would sign."""

import base64
import hashlib
import hmac
import json
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.support.people import ORIGIN, SECRET

ALGORITHMS = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "PS256")
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
NOW = 1_800_000_000  # seconds since 1970
CLAIMS: dict[str, Any] = {"sub": "ann", "iss": ORIGIN, "aud": ORIGIN, "iat": NOW - 10, "exp": NOW + 900}


class SigningKey:
    """A key pair of an issuer. It is generated at its first use, because an RSA key takes a moment."""

    def __init__(self, key_id: str = "one", algorithm: str = "EdDSA", *, bits: int = 2048) -> None:
        self.key_id = key_id
        self.algorithm = algorithm
        self._bits = bits

    @cached_property
    def private(self) -> Any:
        """The private key."""
        if self.algorithm == "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        if self.algorithm in CURVES:
            return ec.generate_private_key(CURVES[self.algorithm])
        return rsa.generate_private_key(public_exponent=65537, key_size=self._bits)

    @cached_property
    def public(self) -> dict[str, Any]:
        """The public key, as Better Auth serves it."""
        kind = jwt.get_algorithm_by_name(self.algorithm)
        jwk = kind.to_jwk(self.private.public_key(), as_dict=True)
        bare = {name: value for name, value in jwk.items() if name != "key_ops"}
        return {**bare, "kid": self.key_id, "alg": self.algorithm}

    def sign(self, claims: dict[str, Any] = CLAIMS, *, algorithm: str | None = None, **header: Any) -> str:
        """Sign a token. A `kid` or `typ` that is None is left out of the header."""
        members = {"kid": self.key_id, "typ": None, **header}
        if members["kid"] is None:
            del members["kid"]
        return jwt.encode(claims, self.private, algorithm or self.algorithm, headers=members)


def jwks_of(*members: Any) -> bytes:
    """Return a key set with these keys."""
    return json.dumps({"keys": members}).encode()


def b64(data: bytes) -> str:
    """Encode bytes as a part of a token."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def sign_bytes(header: bytes, payload: bytes, secret: bytes = SECRET) -> str:
    """Return a token with any bytes as header and payload, signed with HS256."""
    start = f"{b64(header)}.{b64(payload)}"
    return f"{start}.{b64(hmac.digest(secret, start.encode(), hashlib.sha256))}"


def sign_with_secret(claims: dict[str, Any] = CLAIMS, *, secret: bytes = SECRET, **header: Any) -> str:
    """Return a token with any header, signed with the shared secret."""
    return sign_bytes(json.dumps({"alg": "HS256", **header}).encode(), json.dumps(claims).encode(), secret)
