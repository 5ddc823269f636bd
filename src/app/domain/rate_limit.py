"""Rate limits: a quota of requests in each fixed window, counted per name (a person or an address).

A fixed window needs one addition per request, in memory and in a shared store. A client may send twice the
quota around the boundary of two windows. Even such a limit protects the service. Windows of different names
begin at different times, so clients that wait do not all return together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from time import time
from typing import Final, NamedTuple, Protocol
from zlib import crc32


@dataclass(frozen=True, slots=True)
class Policy:
    """The number of requests that are allowed in a window."""

    name: str  # a value in response headers, such as "person"
    quota: int
    window: int  # seconds


class QuotaState(NamedTuple):
    """The state of one name's quota, the current request included."""

    policy: Policy
    remaining: int  # requests left in the window; -1: this request is over the quota
    reset: int  # seconds until the window ends, rounded up

    @property
    def exceeded(self) -> bool:
        """Whether the request must be refused."""
        return self.remaining < 0


class RequestCounter(Protocol):
    """Counts requests per name in the current window."""

    async def add(self, name: str, number: int, window: int) -> int:
        """Count one more request of a name, and return how many it has in this window.

        `number` is the number of the window, which only grows; `window` is its length in seconds. Additions
        at the same time are all counted. Never raises: without its store, this process counts alone.
        """

    @property
    def trouble(self) -> str | None:
        """Why the store is not in use; None if it is in use, or if no store is configured."""

    async def start(self) -> None:
        """Start to connect to the store. Does not wait."""

    async def close(self) -> None:
        """Close the connection to the store."""


class RateLimit:
    """Applies one policy to everyone. The clocks of processes that share counts must agree to a second."""

    def __init__(self, policy: Policy, counts: RequestCounter, now: Callable[[], float] = time) -> None:
        self._policy = policy
        self._counts = counts
        self._now = now

    async def count_request(self, who: str) -> QuotaState:
        """Count a request, even if it must be refused, and return the state of the quota."""
        policy, name = self._policy, f"{self._policy.name}:{who}"
        number, elapsed = divmod(int(self._now()) + _shift_of_windows(name, policy.window), policy.window)
        count = await self._counts.add(name, number, policy.window)
        return QuotaState(policy, max(policy.quota - count, -1), policy.window - elapsed)


@lru_cache(maxsize=10_000)
def _shift_of_windows(name: str, window: int) -> int:
    """Return the seconds by which the windows of a name are shifted."""
    return crc32(name.encode("utf-8", "surrogatepass")) % window


NAMES_MAX: Final = 50_000
"""Names in each of the two generations of `MemoryCounter`: about 20 MB if both are full."""


class MemoryCounter:
    """Counts requests of the latest names, in two generations. A full young one replaces the old one."""

    def __init__(self, names_max: int = NAMES_MAX) -> None:
        self._names_max = names_max
        self._young: dict[str, tuple[int, int]] = {}  # the number of the window, and the count in it
        self._old: dict[str, tuple[int, int]] = {}

    trouble: Final = None

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    async def add(self, name: str, number: int, window: int) -> int:  # noqa: ARG002 - the number is enough
        """Count a request, as `RequestCounter.add` does."""
        latest = self._young.get(name)
        if latest is None:
            latest = self._old.pop(name, (number, 0))
            if len(self._young) >= self._names_max:
                self._young, self._old = {}, self._young
        latest_number, count = latest
        count = count + 1 if latest_number == number else 1
        self._young[name] = number, count
        return count

    async def start(self) -> None:
        """Do nothing: there is no store."""

    async def close(self) -> None:
        """Do nothing: there is no store."""
