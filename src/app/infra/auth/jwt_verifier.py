"""Verifies bearer tokens: a trusted key signed them, they are for this service, and they have not expired.

The key decides the algorithm, never the token: a key of the JWKS allows the algorithms that it is made for,
and the shared secret HS256 alone (RFC 8725 §3.1). Verified tokens are cached: verifying an Ed25519 signature
costs more than a hundred times as much as a look-up.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import jwt

from app.domain.errors import Mistake, NotAuthenticated
from app.domain.identity import UserId
from app.infra.auth.jwks import Jwks
from app.infra.auth.jwt_claims import (
    LEEWAY,
    TOKEN_MAX,
    Claims,
    Header,
    decode_unverified,
    is_subject,
    read_claims,
)
from app.settings.auth import AuthSettings

CACHE_SIZE: Final = 10_000  # tokens


class TokenCache:
    """Cache of verified tokens, by hash. The caller checks the times of a token at each use.

    When a key leaves the set, the generation of the keys grows, and the cache is emptied.
    """

    def __init__(self, size: int = CACHE_SIZE) -> None:
        self.hits = self.misses = 0
        self._size = size
        self._generation = 0
        self._entries: OrderedDict[bytes, Claims] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str, generation: int) -> Claims | None:
        """Return the claims of a token that was verified with the keys of this generation."""
        if generation != self._generation:
            self._entries.clear()
            self._generation = generation
        name = _hash(token)
        entry = self._entries.get(name)
        if entry is None:
            self.misses += 1
        else:
            self.hits += 1
            self._entries.move_to_end(name)
        return entry

    def put(self, token: str, generation: int, claims: Claims) -> None:
        """Store a token that was verified with the keys of this generation, unless they have changed."""
        if generation != self._generation:
            return
        self._entries[_hash(token)] = claims
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _hash(token: str) -> bytes:
    """Return the cache key of a token. The token is not stored, so a memory dump does not contain it."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


Now = Callable[[], float]
"""Returns seconds since 1970."""


class JwtVerifier:
    """`TokenVerifier` over the keys of an issuer, a shared secret, or both."""

    def __init__(self, auth: AuthSettings, keys: Jwks | None, *, now: Now = time.time) -> None:
        self._auth = auth
        self._keys = keys
        self._now = now
        self.cache = TokenCache()

    async def verify(self, token: str) -> UserId:
        if len(token) > TOKEN_MAX:
            raise NotAuthenticated("the token is too long")
        cached = self.cache.get(token, self._generation)
        if cached is not None:
            refuse_outside_lifetime(cached, self._now())
            return UserId(cached.subject)
        header, payload = decode_unverified(token)
        # Cheap checks first: only a token with the right claims may cause a fetch of keys.
        claims = read_claims(payload, issuer=self._auth.issuer, audience=self._auth.audience)
        refuse_outside_lifetime(claims, self._now())
        self._check_signature(token, header, await self._keys_for(header))
        # Nothing was awaited since the key was found, so the key is of this generation.
        self.cache.put(token, self._generation, claims)
        return UserId(claims.subject)

    @property
    def _generation(self) -> int:
        return self._keys.generation if self._keys is not None else 0

    async def _keys_for(self, header: Header) -> tuple[Any, ...]:
        if header.algorithm == "HS256":
            if self._auth.secret is None:
                raise NotAuthenticated("HS256 is not accepted here")
            if self._keys is not None and self._keys.has(header.key_id):
                raise NotAuthenticated("the key is for another algorithm")
            previous = self._auth.previous_secret
            return (self._auth.secret,) if previous is None else (self._auth.secret, previous)
        if self._keys is None:
            raise NotAuthenticated("only HS256 is accepted here")
        return (await self._keys.find(header.key_id, header.algorithm),)

    def _check_signature(self, token: str, header: Header, keys: tuple[Any, ...]) -> None:
        """Check that one of the keys signed the token."""
        key, *others = keys
        try:
            jwt.decode(
                token,
                key,
                algorithms=[header.algorithm],  # `find_key` has checked that the key allows it
                issuer=self._auth.issuer,
                audience=self._auth.audience,
                leeway=LEEWAY,
                # `refuse_outside_lifetime` checks the times, with the injected clock.
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_sub": False},
            )
        except jwt.InvalidSignatureError as error:
            if not others:
                raise NotAuthenticated("the signature is not valid (InvalidSignatureError)") from error
            self._check_signature(token, header, tuple(others))
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError) as error:
            raise NotAuthenticated(f"the signature is not valid ({type(error).__name__})") from error


def issue_token(auth: AuthSettings, *, user_id: str, lifetime: int, now: Now = time.time) -> str:
    """Sign a token with the shared secret, as Better Auth does. It lasts `lifetime` seconds.

    Raises:
        ValueError: there is no secret, or the user id cannot be a subject.
    """
    if auth.secret is None:
        raise ValueError("needs a shared secret")
    if not is_subject(user_id):
        raise ValueError("must have 1 to 255 characters, none of them a control character")
    issued = int(now())
    payload = {
        "sub": user_id,
        "iss": auth.issuer,
        "aud": auth.audience,
        "iat": issued,
        "exp": issued + lifetime,
    }
    return jwt.encode(payload, auth.secret, algorithm="HS256")


def refuse_outside_lifetime(claims: Claims, now: float) -> None:
    """Raise NotAuthenticated if a token is expired, or not valid yet."""
    if now >= claims.expires + LEEWAY:
        raise NotAuthenticated("the token is expired", Mistake.EXPIRED)
    if now < claims.not_before - LEEWAY:
        raise NotAuthenticated("the token is not valid yet")
