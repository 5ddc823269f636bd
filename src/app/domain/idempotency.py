"""Requests that can be repeated safely: whoever repeats one with its key gets the answer that it had."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from app.domain.task import TaskId

RETENTION: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class StorageQuota:
    """What is kept for one person. No key is forgotten early: whoever has as many is refused."""

    answers: int = 10_000
    octets: int = 32 * 1024 * 1024  # of bodies, as they were sent


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """What a person asks, under a key of their own choosing."""

    route: str  # what is asked for, and of which task; the same key elsewhere is another
    key: str
    fingerprint: bytes  # of what is said besides


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An answer, as it was told. No rule looks into it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class StoredResponses(Protocol):
    """The answers that exactly one owner was given, within one transaction.

    What is kept stands or falls with whatever else the transaction does. When a task is deleted for good, so
    is every answer that shows it; the keys of these answers stay taken.
    """

    async def claim(self, keyed: IdempotentRequest, *, since: datetime) -> StoredResponse | None:
        """Return what was told since then.

        None: nothing was. Until the transaction ends only it may ask this, and nobody else writes anything of
        this owner's.

        Raises:
            KeyInFlight: somebody is asking at this moment.
            KeyReused: the key stands for a request that said something else.
            AnswerGone: it was done, and its answer showed a task that has been deleted for good.
            TooManyKeys: there is no room for another answer.

        """
        ...

    async def keep(
        self,
        keyed: IdempotentRequest,
        response: StoredResponse,
        *,
        shows: Collection[TaskId],
        at: datetime,
        since: datetime,
    ) -> None:
        """Keep the answer to a request that was claimed, and forget some that are older than `since`.

        `shows` names the tasks whose text is in the answer.

        Raises:
            TooManyKeys: there is no room for this answer.

        """
        ...
