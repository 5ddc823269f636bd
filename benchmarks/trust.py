"""The tokens that every server accepts, signed with a shared secret (HS256) or with a served key (EdDSA)."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER: Final = "http://auth.example.com"
SECRET: Final = "a secret of the benchmark, which guards nothing"  # noqa: S105
LIFETIME: Final = 6 * 60 * 60  # seconds: longer than any run
KEY_ID: Final = "bench"


@dataclass(frozen=True)
class Issuer:
    """Makes tokens of one algorithm."""

    algorithm: str  # HS256 or EdDSA
    key: Any
    jwks_url: str = ""

    @property
    def env(self) -> dict[str, str]:
        """Return the settings for a server that accepts these tokens."""
        trust = {"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": ISSUER}
        return trust | ({"JWKS_URL": self.jwks_url} if self.jwks_url else {"BETTER_AUTH_SECRET": SECRET})

    def token(self, user_id: str, serial: int = 0) -> str:
        """Sign a token. Each serial number gives a different token."""
        now = int(time.time())
        claims = {"sub": user_id, "iss": ISSUER, "aud": ISSUER, "iat": now, "exp": now + LIFETIME}
        headers = {"kid": KEY_ID} if self.jwks_url else {}
        return jwt.encode(
            claims | ({"jti": str(serial)} if serial else {}), self.key, self.algorithm, headers=headers
        )


@contextmanager
def issuer_of(algorithm: str) -> Iterator[Issuer]:
    """Make an issuer. For EdDSA, serve its public key until the end of the block."""
    if algorithm == "HS256":
        yield Issuer(algorithm, SECRET)
        return
    private = Ed25519PrivateKey.generate()
    public = jwt.get_algorithm_by_name("EdDSA").to_jwk(private.public_key(), as_dict=True)
    public = {name: value for name, value in public.items() if name != "key_ops"}
    body = json.dumps({"keys": [{**public, "kid": KEY_ID, "alg": "EdDSA", "use": "sig"}]}).encode()
    with _serving(body) as url:
        yield Issuer(algorithm, private, url)


@contextmanager
def _serving(body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/jwks"
        server.shutdown()
