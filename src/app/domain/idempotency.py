"""Requests that can be repeated safely: a repetition with the same key gets the first response again."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Final, Protocol

from app.domain.task import TaskId

RETENTION: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class StorageQuota:
    """The limits for one person. No key is dropped early: a request beyond the limits is refused."""

    answers: int = 10_000
    octets: int = 32 * 1024 * 1024  # of response bodies


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request with an Idempotency-Key."""

    route: str  # the operation and its task; the same key on another route is another key
    key: str
    fingerprint: bytes  # of the body


@dataclass(frozen=True, slots=True)
class ResponseForm:
    """What is known of a response before its work is done: everything but the tasks in it."""

    status: int = 200
    location: str | None = None  # of the list; the address of a new task is below it
    texts: tuple[bytes, ...] = (b"", b"")  # before, between and after the JSON of its tasks

    def body_of(self, tasks: Iterable[bytes]) -> bytes:
        """Return the response's body, from the JSON of its tasks in their order."""
        first, *texts = self.texts
        return first + b"".join(chain.from_iterable(zip(tasks, texts, strict=True)))


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as it was sent. No rule reads it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(eq=False)
class AlreadyAnswered(Exception):
    """The request was done before, under the same key. Nothing was done now."""

    response: StoredResponse


class StoredResponses(Protocol):
    """The stored responses of exactly one owner, within one transaction.

    A response is stored in the transaction of its write. When a task is deleted permanently, every response
    that shows it is deleted too; the keys of these responses stay used.
    """

    async def claim(self, keyed: IdempotentRequest, *, since: datetime) -> StoredResponse | None:
        """Return the response that was stored since then.

        None: there is none. Until the transaction ends, no other request uses this key or writes for its
        owner.

        Raises:
            KeyInFlight: a request with this key is running.
            KeyReused: the key belongs to a request with another body.
            AnswerGone: it was done, and its response showed a task that is deleted permanently.
            TooManyKeys: there is no room for another response.

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
        """Store the response to a claimed request, and delete some that are older than `since`.

        `shows`: the tasks whose text is in the response.

        Raises:
            TooManyKeys: there is no room for this response.

        """
        ...
