"""The parts of the service are started and closed together."""

import pytest

from app.composition import compose
from app.infra.auth.jwks import Jwks
from app.infra.postgres.database import Database
from app.settings import Settings
from tests.support.people import ORIGIN


async def test_given_a_part_that_fails_to_start_then_the_parts_started_before_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []

    async def fail(_: Jwks) -> None:
        raise RuntimeError("no keys")

    async def close(_: Database) -> None:
        closed.append("database")

    monkeypatch.setattr(Jwks, "start", fail)
    monkeypatch.setattr(Database, "close", close)
    env = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "BETTER_AUTH_URL": ORIGIN}

    with pytest.raises(ExceptionGroup):  # anyio wraps the error
        async with compose(Settings.from_env(env)).litestar.lifespan():
            pass

    assert closed == ["database"]
