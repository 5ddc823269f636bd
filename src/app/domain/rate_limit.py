"""How often somebody may ask: so many requests in each window of time, counted for everyone by themselves.

A window is fixed, so one addition says all there is to know, in memory as in a shared store. Across the
boundary of two windows twice the quota may come at once: a quota guards the service, it bills nobody.
Windows of different people begin at different moments, so those who wait do not all come back together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from time import time
from typing import Final, NamedTuple, Protocol
from zlib import crc32


@dataclass(frozen=True, slots=True)
class Policy:
    """How many requests are let through in a window."""

    name: str  # a word, in the headers that clients read
    quota: int
    window: int  # seconds


class Standing(NamedTuple):
    """Where somebody stands, a request of theirs included."""

    policy: Policy
    remaining: int  # requests until the window ends; -1: this one is too many
    reset: int  # seconds until then, rounded up

    @property
    def exceeded(self) -> bool:
        """Whether the request is to be refused."""
        return self.remaining < 0


class RequestCounter(Protocol):
    """Counts of each name, in the present window only."""

    async def add(self, name: str, number: int, window: int) -> int:
        """Count one more in the window of this number, and return how many there are.

        Additions at the same time are all counted. Numbers of a name only grow; `window` is in seconds.
        Never raises: what cannot be counted well is counted as well as it can be.
        """

    @property
    def trouble(self) -> str | None:
        """Why they are not shared though they should be; None if all is well."""

    async def start(self) -> None:
        """Begin to look where they are kept. Waits for nothing."""

    async def close(self) -> None:
        """Let go of where they are kept."""


class RateLimit:
    """Applies one policy to everyone. Processes that share counts need the same time, to about a second."""

    def __init__(self, policy: Policy, counts: RequestCounter, now: Callable[[], float] = time) -> None:
        self._policy = policy
        self._counts = counts
        self._now = now

    async def standing(self, who: str) -> Standing:
        """Count a request of somebody's, a refused one too, and tell where they stand."""
        policy, name = self._policy, f"{self._policy.name}:{who}"
        number, elapsed = divmod(int(self._now()) + _phase(name, policy.window), policy.window)
        count = await self._counts.add(name, number, policy.window)
        return Standing(policy, max(policy.quota - count, -1), policy.window - elapsed)


@lru_cache(maxsize=10_000)
def _phase(name: str, window: int) -> int:
    return crc32(name.encode("utf-8", "surrogatepass")) % window


NAMES_MAX: Final = 50_000
"""Of each of two generations: 15 MB if all are in use."""


class MemoryCounter:
    """The names seen last, in two generations. When the young one is full, the old one is forgotten."""

    def __init__(self, names_max: int = NAMES_MAX) -> None:
        self._names_max = names_max
        self._young: dict[str, tuple[int, int]] = {}  # the number of the window, and the count in it
        self._old: dict[str, tuple[int, int]] = {}

    trouble: Final = None

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    async def add(self, name: str, number: int, window: int) -> int:  # noqa: ARG002 - it ends by its number
        """Count a request, as `RequestCounter.add` does."""
        known = self._young.get(name)
        if known is None:
            known = self._old.pop(name, (number, 0))
            if len(self._young) >= self._names_max:
                self._young, self._old = {}, self._young
        count = known[1] + 1 if known[0] == number else 1
        self._young[name] = number, count
        return count

    async def start(self) -> None:
        """Need nothing."""

    async def close(self) -> None:
        """Keep nothing open."""
