"""How long the statements of each person used a connection lately. Who used more goes later."""

import asyncio
from collections import OrderedDict
from typing import Final

from app.domain.identity import UserId

HALF_LIFE: Final = 30.0  # seconds after which half of the used time is forgotten
USED_TIME_MIN: Final = 0.02  # seconds; `Database` does not add shorter statements
PEOPLE_MAX: Final = 10_000  # people whose used time is remembered
PER_STATEMENT: Final = 0.3  # seconds by which each running statement of a person delays the next one
PER_SECOND: Final = 0.1  # seconds by which each second of used time delays it
DELAY_MAX: Final = 1.0  # seconds; half of what a request waits for a connection


class UsedTime:
    """Remembers the used time of people whose statements are not quick."""

    def __init__(self) -> None:
        # Seconds, and the end of the last statement on the loop's clock. The latest change is the last entry.
        self._used: OrderedDict[UserId, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self._used)

    def seconds(self, person: UserId) -> float:
        """Return how many seconds a person's statements used connections, as far as it is remembered."""
        if (used := self._used.get(person)) is None:
            return 0.0
        seconds, at = used
        return float(seconds * 0.5 ** ((asyncio.get_running_loop().time() - at) / HALF_LIFE))

    def add(self, person: UserId, seconds: float) -> None:
        """Add the seconds for which a statement used its connection. Call it when the statement ends."""
        self._used[person] = self.seconds(person) + seconds, asyncio.get_running_loop().time()
        self._used.move_to_end(person)
        if len(self._used) > PEOPLE_MAX:
            self._used.popitem(last=False)

    def delay(self, person: UserId, running: int) -> float:
        """Return the delay of a person's next statement in seconds; 0 for somebody who used nothing lately.

        `running`: how many other statements of the person run or wait for a connection. Because the delay has
        a maximum, nobody waits forever.
        """
        return min(running * PER_STATEMENT + self.seconds(person) * PER_SECOND, DELAY_MAX)
