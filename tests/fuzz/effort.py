"""The number of examples of each test: few in `make test`, 100 times as many with `make fuzz FUZZ=100`."""

import os
from typing import Final

from hypothesis import HealthCheck, settings

TIMES: Final = int(os.environ.get("FUZZ", "1"))


def effort(examples: int) -> settings:
    """Try this many examples, or `FUZZ` times as many."""
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        derandomize=TIMES == 1,  # `make test` tries the same examples each time, `make fuzz` new ones
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,  # the fixtures that are used here keep nothing of an example
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
