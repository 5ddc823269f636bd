"""A service with its default limits, as an operator gets it who sets nothing."""

from collections.abc import Iterator

import pytest

from tests.conftest import environment_for
from tests.support.servers.service import Service, serving

LIMITS = ("RATE_LIMIT_PERSON", "RATE_LIMIT_ADDRESS")


def default_environment(database_url: str, **more: str) -> dict[str, str]:
    """Return the environment of a service with default limits."""
    env = environment_for(database_url, **more)
    return {name: value for name, value in env.items() if name in more or name not in LIMITS}


@pytest.fixture(scope="module")
def default_service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, with one worker and default limits."""
    with serving(default_environment(database_url), tmp_path_factory.mktemp("service")) as service:
        yield service
