"""Requests that can be repeated safely: a repetition with the same key gets the first response again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Final

RETENTION: Final = timedelta(hours=24)  # how long a response is stored


@dataclass(frozen=True, slots=True)
class StorageQuota:
    """The limits for one person. No key is dropped early: a request beyond the limits is refused."""

    responses: int = 10_000
    body_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request with an Idempotency-Key."""

    route: str  # the operation and its task; the same key on another route is another key
    key: str
    fingerprint: bytes  # of the body


@dataclass(frozen=True, slots=True)
class ResponseForm:
    """The parts of a response that are known before the work is done: all but the tasks."""

    status: int = 200
    location: str | None = None  # URL of the list: `Location` is this URL, `/` and the id of the new task
    texts: tuple[bytes, ...] = (b"", b"")  # before, between and after the JSON of its tasks

    def body_of(self, tasks: Iterable[bytes]) -> bytes:
        """Return the response's body, from the JSON of its tasks in their order."""
        first, *texts = self.texts
        return first + b"".join(chain.from_iterable(zip(tasks, texts, strict=True)))


ONE_TASK: Final = ResponseForm()
"""The response 200 with one task."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as it was sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(eq=False)
class AlreadyDone(Exception):
    """The request was done before, under the same key. Nothing was done now."""

    response: StoredResponse
