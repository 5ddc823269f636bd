"""Requests sent during a fault, and their responses."""

from dataclasses import dataclass
from typing import Final

UNKNOWN: Final = "503 unknown"  # the service says that it does not know whether the write was done
BROKEN: Final = "broken"  # sent, and the connection ended or timed out
REFUSED: Final = "refused"  # no connection, so nothing was sent

WRITES: Final = ("create", "toggle", "delete")


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and its outcome."""

    sent_at: float  # seconds of the monotonic clock
    took: float  # seconds
    kind: str  # create, read, list, toggle or delete
    status: str  # the status code, or one of the words above

    @property
    def is_2xx(self) -> bool:
        """Whether the status is 2xx."""
        return self.status.startswith("2")

    @property
    def answered_at(self) -> float:
        """When the response was complete, in seconds of the monotonic clock."""
        return self.sent_at + self.took


def share_2xx(answers: list[Answer]) -> float | None:
    """Return the share of 2xx; None without any request."""
    return sum(answer.is_2xx for answer in answers) / len(answers) if answers else None
