"""Reads a JSON Web Key Set (RFC 7517): its keys, and the algorithms that each allows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import jwt

from app import strict_json
from app.domain.errors import NotAuthenticated

RSA_MIN: Final = 2048  # bits, RFC 7518 §3.3
ALGORITHMS_BY_KEY_TYPE: Final[dict[tuple[object, object], tuple[str, ...]]] = {
    ("OKP", "Ed25519"): ("EdDSA",),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("RSA", None): ("RS256", "PS256"),
}
SECRET_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})


class InvalidJwks(Exception):
    """The document is not a usable set of public keys; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key."""

    key_id: str | None
    algorithms: tuple[str, ...]  # decided by the key, never by the token
    material: Any  # the key object of PyJWT
    text: str  # all members of the key, to see whether a new set still has it


def read_key_set(document: bytes) -> tuple[Key, ...]:
    """Return the keys that can verify a token; skip keys of other kinds and for other uses (RFC 7517 §5).

    Raises:
        InvalidJwks: no key can verify; or two usable keys have the same id, so a token does not say which key
            to use; or a key is secret: everybody who can read the document could sign tokens.
    """
    try:
        value = strict_json.loads(document)
    except strict_json.NotStrictJson as error:
        raise InvalidJwks(f"it is not JSON: {error}") from error
    members = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise InvalidJwks("it is not a key set")
    if any(member.get("kty") == "oct" or SECRET_MEMBERS & member.keys() for member in members):
        raise InvalidJwks("it holds secret keys")
    keys = [key for member in members if (key := _read_key(member)) is not None]
    ids = [key.key_id for key in keys if key.key_id is not None]
    if len(ids) != len(set(ids)):
        raise InvalidJwks("it holds two keys with the same id")
    if not keys:
        raise InvalidJwks("it holds no key that can verify")
    return tuple(keys)


def find_key(keys: Iterable[Key], key_id: str | None, algorithm: str) -> Key | None:
    """Return the key with this id, if there is one; without an id, the only key for the algorithm.

    Raises:
        NotAuthenticated: the key is for another algorithm, or several keys match.
    """
    if key_id is None:
        fitting = [key for key in keys if algorithm in key.algorithms]
        if len(fitting) > 1:
            raise NotAuthenticated("the token names no key, and several match")
        return fitting[0] if fitting else None
    found = next((key for key in keys if key.key_id == key_id), None)
    if found is not None and algorithm not in found.algorithms:
        raise NotAuthenticated("the key is for another algorithm")
    return found


def _read_key(member: dict[str, Any]) -> Key | None:
    kind, curve = member.get("kty"), member.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return None
    algorithms = ALGORITHMS_BY_KEY_TYPE.get((kind, None if kind == "RSA" else curve), ())
    if "alg" in member:
        algorithms = tuple(name for name in algorithms if name == member["alg"])
    operations = member.get("key_ops", ["verify"])
    may_verify = member.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    key_id = member.get("kid")
    if not algorithms or not may_verify or not isinstance(key_id, str | None):
        return None
    try:
        material = jwt.PyJWK(member, algorithm=algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if kind == "RSA" and material.key_size < RSA_MIN:
        return None
    return Key(key_id, algorithms, material, repr(sorted(member.items())))
