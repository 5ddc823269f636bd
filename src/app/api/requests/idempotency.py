"""A request that has an `Idempotency-Key` is acted on once; whoever repeats it is told what was told then.

The key stands for an owner, a route and what the body says, whatever the order of its members and the space
between them. The answer is kept in the transaction of the work, so that neither is there without the other.
A refusal undoes the transaction, and so is not kept.
"""

import json
from collections.abc import Awaitable, Callable, Collection
from hashlib import sha256
from typing import Final, TypeVar

from app import strict_json
from app.api.keys import read_key
from app.api.requests.request import TaskRequest
from app.api.responses import Answer
from app.domain.idempotency import KEPT_FOR, KeyedRequest, Told
from app.domain.task import TaskId
from app.domain.task_service import TaskService
from app.domain.unit_of_work import Desk

T = TypeVar("T")

REPLAYED: Final = (b"idempotency-replayed", b"true")


async def once(
    request: TaskRequest,
    desk: Desk,
    route: str,
    act: Callable[[TaskService], Awaitable[tuple[Answer[T], Collection[TaskId]]]],
) -> Answer[T]:
    """Act on a request that has been read, unless it was acted on before.

    `act` returns the answer, and the tasks that it shows.

    Raises:
        KeyInFlight, KeyReused, AnswerGone, TooManyKeys: as `KeptAnswers.claim` does.

    """
    key = read_key(request)
    if key is None:
        return (await act(desk.tasks))[0]
    asked = KeyedRequest(route, key, _fingerprint(await request.body()))
    now = desk.tasks.now()
    since = now - KEPT_FOR
    async with desk.together() as (tasks, kept):
        if (told := await kept.claim(asked, since=since)) is not None:
            return Answer(told.body, status=told.status, headers=(*_on_the_wire(told), REPLAYED))
        answer, shows = await act(tasks)
        await kept.keep(asked, _told(answer), shows=shows, at=now, since=since)
        return answer


def _fingerprint(body: bytes) -> bytes:
    said = strict_json.loads(body) if body else None
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()


def _told(answer: Answer[T]) -> Told:
    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in answer.fields)
    return Told(answer.status, headers, answer.body)


def _on_the_wire(told: Told) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in told.headers)
