"""A service with default limits, as it is for an operator who changes no setting."""

from collections.abc import Iterator

import pytest

from dev.postgres import PostgresServer
from tests.abuse.remains import MEMORY, nothing_left
from tests.conftest import environment_for
from tests.support.servers.service import Service, serving

SERVICES = ("default_service", "service")  # the fixtures of the services that receive floods
LIMITS = ("RATE_LIMIT_PERSON", "RATE_LIMIT_ADDRESS")  # `environment_for` sets them too high to be reached


def default_environment(database_url: str, **more: str) -> dict[str, str]:
    """Return the environment of a service with default limits."""
    env = environment_for(database_url, **more)
    return {name: value for name, value in env.items() if name in more or name not in LIMITS}


@pytest.fixture(scope="module")
def default_service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, with one worker and default limits."""
    with serving(default_environment(database_url), tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(autouse=True)
def _nothing_is_left(
    request: pytest.FixtureRequest, postgres: PostgresServer, database_url: str
) -> Iterator[None]:
    """Check after each test that its service has released what the flood used."""
    name = next((name for name in SERVICES if name in request.fixturenames), None)
    if name is None:
        yield
        return
    held = request.node.get_closest_marker("held")
    memory_max = held.args[0] if held else MEMORY
    with nothing_left(request.getfixturevalue(name), postgres, database_url.rpartition("/")[2], memory_max):
        yield
