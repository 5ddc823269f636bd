"""Answers too large for the kernel to take at once: they stay in memory until their reader has taken them.

So they are counted for as long as they are on their way. Small answers are with the kernel at once
(`app.send_buffers`), and are not counted.
"""

from typing import Any, Final

from litestar.types import HTTPResponseBodyEvent, Message, Send

from app.api.requests.request import TaskRequest
from app.api.room import Full, Room
from app.domain.errors import AnswersNotTaken, TooBusy
from app.domain.task_list import PAGE_BYTES

LARGE: Final = 128 * 1024  # bytes; up to here the kernel takes an answer at once
PERSON_MAX: Final = 4 * 1024 * 1024  # bytes that wait to be taken
PROCESS_MAX: Final = 64 * 1024 * 1024  # bytes that wait to be taken, of all people
STRANGERS_MAX: Final = 16 * 1024 * 1024  # bytes that wait to be taken, of all who need not sign in
STRANGERS: Final = ""  # no person has this name
LARGE_ANSWERS: Final = "large_answers"
"""In the application's state: those of this process. `app.composition` puts it there."""

PIECE: Final = 64 * 1024  # bytes
QUEUE: Final = 4  # pieces that granian takes before it lets a sender wait
_DIGITS: Final = len(str(LARGE))


def is_large(start: Message) -> bool:
    """Tell by the head of an answer whether its body is large."""
    for name, value in start["headers"]:  # type: ignore[typeddict-item]  # the head of an answer has them
        if name == b"content-length":
            return len(value) >= _DIGITS and int(value) > LARGE
    return False


class LargeAnswers:
    """Those that are on their way out of this process."""

    def __init__(self) -> None:
        self._people = Room(of_one=PERSON_MAX, of_all=PROCESS_MAX)
        self._strangers = Room(of_one=STRANGERS_MAX, of_all=STRANGERS_MAX)

    def refusal(self, scope: Any, size: int) -> AnswersNotTaken | TooBusy | None:
        """Return why an answer of this size must not be sent now, or None; what wrote is always answered."""
        return self.lack(person_of(scope), size) if scope["method"] == "GET" else None

    def lack(self, person: str, size: int) -> AnswersNotTaken | TooBusy | None:
        """Return why there is no room for an answer of this size, or None."""
        full = self._room_of(person).full(person, size)
        if full is None:
            return None
        return AnswersNotTaken() if full is Full.ONES_OWN and person != STRANGERS else TooBusy()

    async def send(self, send: Send, start: Message, body: bytes, person: str) -> None:
        """Send an answer, and count it until the kernel has taken nearly all of it.

        The last bytes go one by one, more of them than granian queues: when the last is queued, the first has
        left the queue, and all before it with it.
        """
        room = self._room_of(person)
        room.take(person, len(body))
        try:
            await send(start)
            whole = len(body) - QUEUE - 1
            for begin in range(0, whole, PIECE):
                await send(_piece(body[begin : min(begin + PIECE, whole)]))
            for place in range(whole, len(body)):
                await send(_piece(body[place : place + 1]))
            await send(_piece(b"", more=False))
        finally:
            room.give_back(person, len(body))

    def _room_of(self, person: str) -> Room:
        return self._strangers if person == STRANGERS else self._people


def expect_answers_taken(request: TaskRequest) -> None:
    """Refuse a write whose answer may be large while others wait to be taken: what is done is answered.

    Raises:
        AnswersNotTaken: somebody has no room left for a page.

    """
    large: LargeAnswers = request.app.state[LARGE_ANSWERS]
    if isinstance(refusal := large.lack(request.user.user_id, PAGE_BYTES), AnswersNotTaken):
        raise refusal


def person_of(scope: Any) -> str:
    """Return who is answered."""
    principal = scope.get("user")
    return STRANGERS if principal is None else principal.user_id


def _piece(body: bytes, *, more: bool = True) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": body, "more_body": more}
