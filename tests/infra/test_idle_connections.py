"""Connections stay open between requests, and the kernel finds out which of them are dead.

Each of these faults, put into the code on purpose, made a test fail: an idle lifetime of 60 s; no idle lifetime; no
keepalive.
"""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from app.infra.postgres.database import Database
from app.infra.postgres.pool import IDLE_LIFETIME
from app.settings.database_address import DatabaseAddress
from tests.support.statements import PING

pytestmark = pytest.mark.server

TWO_MINUTES = 120  # seconds


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool that one request has used."""
    database = Database(DatabaseAddress.parse(database_url))
    await database.open()
    await database.fetch(PING, {})
    yield database
    await database.close()


def be_idle(database: Database, seconds: float) -> None:
    """Make the idle connections this much older, and do what the pool's timer does."""
    pool = database._checkout._pool
    assert pool is not None
    pool._idle = [(connection, since - seconds) for connection, since in pool._idle]
    pool._close_unused()


async def test_the_first_request_after_two_idle_minutes_opens_no_connection(database: Database) -> None:
    warm = database._checkout.acquire_idle()
    assert warm is not None
    database._checkout.release(warm)

    be_idle(database, TWO_MINUTES)

    assert database._checkout.acquire_idle() is warm


async def test_a_connection_that_no_request_uses_is_closed_after_its_idle_time(database: Database) -> None:
    be_idle(database, IDLE_LIFETIME)

    assert database.counts().idle == 0


async def test_keepalive_is_on_and_its_times_add_up_to_at_most_a_minute(
    database: Database,
) -> None:
    connection = database._checkout.acquire_idle()
    assert connection is not None
    transport: asyncio.Transport = connection._transport  # type: ignore[attr-defined]
    opened = transport.get_extra_info("socket")

    idle, interval, count = (
        opened.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )

    assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert idle + interval * count <= 60
