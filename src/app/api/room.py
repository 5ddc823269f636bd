"""How many bytes may wait in this process, of one person and of all: bodies that come, answers that go."""

from enum import Enum, auto


class Full(Enum):
    """Whose room is full."""

    ONES_OWN = auto()
    EVERYBODYS = auto()


class Room:
    """Bytes that wait, by person."""

    def __init__(self, *, of_one: int, of_all: int) -> None:
        self._of_one = of_one
        self._of_all = of_all
        self._waiting: dict[str, int] = {}
        self._total = 0

    def full(self, person: str, size: int) -> Full | None:
        """Tell why so many bytes more may not wait; None if they may."""
        if self._waiting.get(person, 0) + size > self._of_one:
            return Full.ONES_OWN
        return Full.EVERYBODYS if self._total + size > self._of_all else None

    def take(self, person: str, size: int) -> None:
        """Count bytes, whether there is room or not."""
        self._total += size
        self._waiting[person] = self._waiting.get(person, 0) + size

    def give_back(self, person: str, size: int) -> None:
        """Count bytes no more."""
        self._total -= size
        self._waiting[person] -= size
        if not self._waiting[person]:
            del self._waiting[person]
