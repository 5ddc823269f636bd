"""Requests that can be repeated safely: whoever repeats one with its key gets the answer that it had."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

KEPT_FOR: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """What a person asks, under a key of their own choosing."""

    route: str  # what is asked for, and of which task; the same key elsewhere is another
    key: str
    fingerprint: bytes  # of what is said besides


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, as it was told. No rule looks into it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class KeptAnswers(Protocol):
    """The answers that exactly one owner was given, within one transaction.

    What is kept stands or falls with whatever else the transaction does.
    """

    async def claim(self, asked: KeyedRequest, *, since: datetime) -> Told | None:
        """Return what was told since then. None: nothing was, and until the transaction ends only it may ask.

        Raises:
            KeyInFlight: somebody is asking at this moment.
            KeyReused: the key stands for a request that said something else.

        """
        ...

    async def keep(self, asked: KeyedRequest, told: Told, *, at: datetime, since: datetime) -> None:
        """Keep the answer to a request that was claimed, and forget some that are older than `since`."""
        ...
