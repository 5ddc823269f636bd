"""The scenarios of the table: each is a function that causes a real fault, with the limits that must hold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.chaos.harness import Harness
from tests.chaos.judge import Allowed

SCENARIOS: "Final[dict[str, Scenario]]" = {}


@dataclass(frozen=True)
class Scenario:
    """One fault."""

    name: str
    title: str
    allowed: Allowed
    play: Callable[[Harness], None]
    own_server: bool  # the fault affects a whole PostgreSQL server, so the scenario gets its own


def scenario(
    title: str, allowed: Allowed, *, name: str = "", own_server: bool = False
) -> Callable[[Callable[[Harness], None]], Callable[[Harness], None]]:
    """Return a decorator that adds a function to `SCENARIOS`, under `name` or the name of the function."""

    def add(play: Callable[[Harness], None]) -> Callable[[Harness], None]:
        named = name or play.__name__.replace("_", "-")
        SCENARIOS[named] = Scenario(named, title, allowed, play, own_server)
        return play

    return add
