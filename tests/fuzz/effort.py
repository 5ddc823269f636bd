"""How long each search goes on: seconds among all other tests, as long as one likes by `make fuzz FUZZ=100`."""

import os
from typing import Final

from hypothesis import HealthCheck, settings

TIMES: Final = int(os.environ.get("FUZZ", "1"))


def effort(examples: int) -> settings:
    """Try this many examples, or as many times more as `FUZZ` says."""
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        derandomize=TIMES == 1,  # all tests try the same each time; `make fuzz` goes where none was
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,  # the fixtures that are used here keep nothing of an example
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
