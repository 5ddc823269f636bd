"""Tokens that a scenario signs with keys of its own, as Better Auth would."""

import time
from collections.abc import Iterable
from typing import Final

from tests.support.people import ORIGIN
from tests.support.signing import SigningKey

LIFETIME: Final = 7200  # seconds: longer than any scenario


def sign(key: SigningKey, owner: str, *, age: int = 0, lifetime: int = LIFETIME) -> str:
    """Sign a token that was issued `age` seconds ago, and is valid for `lifetime` seconds from then."""
    issued = int(time.time()) - age
    return key.sign({"sub": owner, "iss": ORIGIN, "aud": ORIGIN, "iat": issued, "exp": issued + lifetime})


def sign_all(key: SigningKey, owners: Iterable[str]) -> dict[str, str]:
    """Sign a token for each owner."""
    return {owner: sign(key, owner) for owner in owners}
