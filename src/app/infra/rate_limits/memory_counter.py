"""Counts of one process, in memory that does not grow without end.

`limits` has such counts too. Each addition there starts a task that looks through all names: 1.1 ms with
ten thousand of them (docs/decisions/0009-rate-limits.md), so that a flood would make itself worse.
"""

from typing import Final

NAMES_MAX: Final = 50_000
"""Of each of two generations: 15 MB if all are in use."""


class ProcessCounts:
    """The names seen last, in two generations. When the young one is full, the old one is forgotten."""

    def __init__(self, names_max: int = NAMES_MAX) -> None:
        self._names_max = names_max
        self._young: dict[str, tuple[int, int]] = {}  # the number of the window, and the count in it
        self._old: dict[str, tuple[int, int]] = {}

    trouble: Final = None

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    async def add(self, name: str, number: int, window: int) -> int:  # noqa: ARG002 - it ends by its number
        known = self._young.get(name)
        if known is None:
            known = self._old.pop(name, (number, 0))
            if len(self._young) >= self._names_max:
                self._young, self._old = {}, self._young
        count = known[1] + 1 if known[0] == number else 1
        self._young[name] = number, count
        return count

    async def start(self) -> None: ...

    async def close(self) -> None: ...
