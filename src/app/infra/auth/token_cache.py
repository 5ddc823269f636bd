"""Tokens that were verified already: an Ed25519 signature costs ten times what looking one up does."""

from collections import OrderedDict
from hashlib import sha256
from typing import Final

from app.domain.identity import Principal
from app.infra.auth.jwt_claims import Claims

SIZE: Final = 10_000  # tokens

Entry = tuple[Claims, Principal]


class TokenCache:
    """The last tokens that were believed, by their hash; only successes are kept.

    Bound to a generation of the keys: when a key leaves the set, so do its tokens. Time is the caller's
    to check again, at each use.
    """

    def __init__(self, size: int = SIZE) -> None:
        self.hits = self.misses = 0
        self._size = size
        self._generation = 0
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str, generation: int) -> Entry | None:
        """Return what the token says, if it was believed under these keys."""
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

    def put(self, token: str, generation: int, said: Claims, principal: Principal) -> None:
        """Remember a token that was believed under these keys."""
        if generation != self._generation:
            return
        self._entries[_hash(token)] = said, principal
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _hash(token: str) -> bytes:
    """Name a token without keeping it: memory that leaks shall not hold anybody's token."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
