"""Requests find the key set in memory. It is fetched in the background, and stays while the issuer is down."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from app.domain.errors import KeysUnavailable, NotAuthenticated, TooManyRequests
from app.infra.auth import jwks
from app.infra.auth.jwks import Jwks
from app.infra.auth.jwks_fetcher import BURST, PAUSE, Fetcher
from tests.support.servers.jwks import JwksServer, fetched_from, jwks_server
from tests.support.signing import SigningKey
from tests.support.waiting import wait_until_async

OLD, NEW = SigningKey("old"), SigningKey("new")
A_DAY = 24 * 3600.0  # seconds


class Clock:
    """A clock that moves only when a test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def until_next_fetch(server: JwksServer) -> None:
    """Wait until a fetch that began after this call is over."""
    before = server.requests
    await wait_until_async(lambda: server.requests > before + 1, seconds=2)


def ends_at_once(coroutine: Coroutine[Any, Any, object]) -> bool:
    """Return whether the coroutine ends without waiting for anything."""
    try:
        coroutine.send(None)
    except StopIteration:
        return True
    coroutine.close()
    return False


async def test_a_known_key_is_found_without_a_fetch() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server) as keys:
        server.behaviour = "hang"

        assert ends_at_once(keys.find("old", "EdDSA"))

        assert server.requests == 1


@pytest.mark.quiet
async def test_the_start_does_not_wait_for_a_fetch() -> None:
    async with jwks_server(OLD.public) as server:
        server.behaviour = "hang"
        began = time.monotonic()

        async with fetched_from(server, wait=False) as keys:
            assert time.monotonic() - began < 0.5
            assert not keys.ready


async def test_a_new_key_is_fetched_at_once_with_one_fetch_for_all_waiting_requests() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server) as keys:
        server.keys.append(NEW.public)
        server.behaviour = "slow"

        async with asyncio.timeout(1):
            await asyncio.gather(*(keys.find("new", "EdDSA") for _ in range(50)))

        assert server.requests == 2


async def test_given_a_fetch_that_began_before_the_key_was_made_then_another_fetch_follows() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server) as keys:
        server.behaviour = "slow"
        early = asyncio.create_task(keys.find("nobody's", "EdDSA"))
        await wait_until_async(lambda: server.requests == 2, seconds=2)
        await asyncio.sleep(0)
        server.behaviour = "good"
        server.keys = [OLD.public, NEW.public]

        await keys.find("new", "EdDSA")

        with pytest.raises(NotAuthenticated):
            await early


async def test_a_new_key_is_fetched_even_in_the_moment_in_which_another_fetch_ends() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server, wait=False) as keys:
        while not keys.ready:  # noqa: ASYNC110 - to continue in the same round of the event loop
            await asyncio.sleep(0)
        server.keys.append(NEW.public)

        await keys.find("new", "EdDSA")

        assert server.requests == 2


async def test_a_waiter_that_gives_up_does_not_cancel_the_fetch_for_others() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server) as keys:
        server.keys.append(NEW.public)
        server.behaviour = "slow"
        hasty = asyncio.create_task(keys.find("new", "EdDSA"))
        patient = asyncio.create_task(keys.find("new", "EdDSA"))
        await wait_until_async(lambda: server.requests == 2, seconds=2)

        hasty.cancel()

        assert await patient
        assert server.requests == 2


async def test_given_a_fresh_set_without_the_key_then_the_token_is_not_accepted() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server) as keys:
        with pytest.raises(NotAuthenticated):
            await keys.find("nobody's", "EdDSA")


async def test_a_key_of_another_algorithm_is_refused_without_a_fetch() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server) as keys:
        with pytest.raises(NotAuthenticated, match="another algorithm"):
            await keys.find("old", "ES256")

        assert server.requests == 1


async def test_a_flood_of_unknown_keys_causes_few_fetches_and_valid_tokens_never_wait() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server, clock=Clock()) as keys:
        errors: list[Any] = []

        for number in range(1000):
            try:
                await keys.find(f"unknown-{number}", "EdDSA")
            except (NotAuthenticated, TooManyRequests) as error:
                errors.append(error)
            assert ends_at_once(keys.find("old", "EdDSA"))

        limited = [error for error in errors if isinstance(error, TooManyRequests)]
        assert server.requests == 1 + BURST
        assert len(limited) == 1000 - BURST
        assert {error.retry_after for error in limited} == {PAUSE}


async def test_a_flood_of_one_minute_causes_eight_fetches_and_failed_ones_count() -> None:
    clock = Clock()
    async with jwks_server(OLD.public) as server, fetched_from(server, clock=clock) as keys:
        server.behaviour = "500"

        for second in range(60):
            clock.now = 1000.0 + second
            for number in range(10):
                with pytest.raises(KeysUnavailable):
                    await keys.find(f"unknown-{number}", "EdDSA")

        # Not `server.requests`: it misses a fetch that ends too early on a busy machine.
        assert keys.fetches - 1 == 8


async def test_after_a_quiet_hour_no_more_than_one_burst_of_fetches_is_allowed() -> None:
    clock = Clock()
    async with jwks_server(OLD.public) as server, fetched_from(server, clock=clock) as keys:
        clock.now += 3600

        for _ in range(2 * BURST):
            with pytest.raises((NotAuthenticated, TooManyRequests)):
                await keys.find("unknown", "EdDSA")

        assert keys.fetches == 1 + BURST


async def test_given_a_flood_when_a_key_is_rotated_then_its_tokens_are_accepted_within_ten_seconds() -> None:
    clock = Clock()
    async with jwks_server(OLD.public) as server, fetched_from(server, clock=clock) as keys:
        for _ in range(BURST):
            with pytest.raises(NotAuthenticated):
                await keys.find("unknown", "EdDSA")
        server.keys.append(NEW.public)
        with pytest.raises(TooManyRequests) as raised:
            await keys.find("new", "EdDSA")

        clock.now += raised.value.retry_after
        with pytest.raises(NotAuthenticated):
            await keys.find("unknown", "EdDSA")  # the flood uses the fetch that is allowed now

        await keys.find("new", "EdDSA")
        assert raised.value.retry_after <= 10


async def test_after_a_flood_a_new_key_is_accepted_after_the_time_in_retry_after_and_not_before() -> None:
    clock = Clock()
    async with jwks_server(OLD.public) as server, fetched_from(server, clock=clock) as keys:
        for number in range(BURST):
            with pytest.raises(NotAuthenticated):
                await keys.find(f"made-up-{number}", "EdDSA")
        server.keys.append(NEW.public)
        with pytest.raises(TooManyRequests) as first:
            await keys.find("new", "EdDSA")

        clock.now += first.value.retry_after - 1
        with pytest.raises(TooManyRequests) as second:
            await keys.find("new", "EdDSA")
        clock.now += second.value.retry_after

        await keys.find("new", "EdDSA")
        assert (first.value.retry_after, second.value.retry_after) == (PAUSE, 1)


@pytest.mark.parametrize("behaviour", ["500", "reset", "empty", "hang"])
async def test_given_an_issuer_that_sends_no_keys_then_a_known_key_is_accepted_and_an_unknown_one_is_unavailable(
    behaviour: str,
) -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server) as keys:
        server.behaviour = behaviour

        with pytest.raises(KeysUnavailable) as raised:
            await keys.find("new", "EdDSA")

        assert raised.value.retry_after >= 1
        assert await keys.find("old", "EdDSA")


async def test_without_any_key_the_set_is_fetched_within_two_seconds_of_the_issuers_return() -> None:
    async with jwks_server(OLD.public) as server:
        server.behaviour = "500"
        async with fetched_from(server, wait=False) as keys:
            for _ in range(2 * BURST):
                with pytest.raises(KeysUnavailable) as raised:
                    await keys.find("old", "EdDSA")
            assert raised.value.retry_after == 1
            server.behaviour = "good"

            await wait_until_async(lambda: keys.ready, seconds=2)

            await keys.find("old", "EdDSA")


@pytest.mark.quiet
async def test_given_an_issuer_whose_first_key_was_just_made_then_it_is_accepted_at_once() -> None:
    async with jwks_server() as server, fetched_from(server, wait=False) as keys:
        await wait_until_async(lambda: bool(keys._trouble), seconds=2)
        server.keys = [OLD.public]

        async with asyncio.timeout(0.9):  # before the background task fetches again
            await keys.find("old", "EdDSA")


async def test_a_removed_key_is_refused_and_begins_a_new_generation() -> None:
    async with jwks_server(OLD.public, NEW.public) as server, fetched_from(server, refresh=0.05) as keys:
        before = keys.generation
        server.keys = [NEW.public]

        await wait_until_async(lambda: not keys.has("old"), seconds=2)

        assert keys.generation == before + 1
        with pytest.raises(NotAuthenticated):
            await keys.find("old", "EdDSA")


async def test_a_key_replaced_under_the_same_id_begins_a_new_generation() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server, refresh=0.05) as keys:
        before = keys.generation
        server.keys = [SigningKey("old").public]

        await wait_until_async(lambda: keys.generation == before + 1, seconds=2)


async def test_an_added_key_does_not_change_the_generation() -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server, refresh=0.05) as keys:
        before = keys.generation
        server.keys = [NEW.public, OLD.public]

        await wait_until_async(lambda: keys.has("new"), seconds=2)

        assert keys.generation == before


async def test_the_set_is_fetched_again_in_the_background_after_every_kind_of_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with jwks_server(OLD.public) as server, fetched_from(server, refresh=0.05) as keys:
        for behaviour in ("500", "reset", "html"):
            server.behaviour = behaviour
            await until_next_fetch(server)
        with monkeypatch.context() as patched:
            patched.setattr(Fetcher, "fetch", _bug)
            await wait_until_async(lambda: "unexpected" in keys._trouble, seconds=2)
        server.behaviour = "good"
        server.keys = [NEW.public]

        await wait_until_async(lambda: keys.has("new"), seconds=2)


async def test_the_set_is_fetched_about_every_five_minutes_and_every_second_without_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def record_and_sleep(seconds: float) -> None:
        if seconds > 0.5:  # not a pause of the test itself
            pauses.append(seconds)
        await sleep(min(seconds, 0.01))

    monkeypatch.setattr(asyncio, "sleep", record_and_sleep)
    async with jwks_server(OLD.public) as server, fetched_from(server):
        await wait_until_async(lambda: len(pauses) > 20, seconds=2)
        with_keys = pauses[:20]
    pauses.clear()
    async with jwks_server() as server, fetched_from(server, wait=False):
        await wait_until_async(lambda: len(pauses) > 3, seconds=2)

    # Five minutes are 300 s. A tenth more or less, by chance, keeps processes apart.
    assert 265 < min(with_keys) < 295
    assert 305 < max(with_keys) <= 330
    assert max(pauses[:3]) <= 1


async def test_without_any_key_the_set_is_fetched_within_two_seconds_after_the_issuer_hung() -> None:
    async with jwks_server(OLD.public) as server:
        server.behaviour = "hang"
        async with fetched_from(server, wait=False) as keys:
            await wait_until_async(lambda: server.requests == 1, seconds=2)
            server.behaviour = "good"

            await wait_until_async(lambda: keys.ready, seconds=2)


async def _bug(_: Fetcher) -> None:
    """Replaces `Fetcher.fetch` by one with a bug."""
    raise AttributeError("a bug")


async def test_a_failing_fetch_is_logged_once_and_so_is_the_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[str, str]] = []

    class Log:
        def warning(self, event: str, **facts: Any) -> None:
            logged.append((event, facts["reason"]))

        info = warning

    monkeypatch.setattr(jwks, "log", Log())
    async with jwks_server(OLD.public) as server, fetched_from(server, refresh=0.02) as keys:
        server.behaviour = "500"
        await wait_until_async(lambda: server.requests > 5, seconds=2)
        server.behaviour = "good"
        await wait_until_async(lambda: not keys._trouble, seconds=2)

    events = [event for event, _ in logged]
    assert events == ["keys not fetched", "keys fetched again"]
    assert "500" in logged[0][1]


async def test_without_the_issuer_known_keys_are_valid_for_a_day() -> None:
    clock = Clock()
    async with jwks_server(OLD.public) as server, fetched_from(server, clock=clock, refresh=0.05) as keys:
        server.behaviour = "500"
        clock.now += A_DAY - 1
        await until_next_fetch(server)
        assert keys.ready
        before = keys.generation

        clock.now += 1
        await wait_until_async(lambda: not keys.ready, seconds=2)

        assert keys.generation == before + 1
        with pytest.raises(KeysUnavailable):
            await keys.find("old", "EdDSA")
        server.behaviour = "good"
        await wait_until_async(lambda: keys.ready, seconds=2)


async def test_after_close_no_task_runs_and_known_keys_are_still_accepted() -> None:
    async with jwks_server(OLD.public) as server:
        before = asyncio.all_tasks()
        async with fetched_from(server) as keys:
            server.behaviour = "hang"
            waiting = asyncio.create_task(keys.find("new", "EdDSA"))
            await wait_until_async(lambda: server.requests == 2, seconds=2)

        with pytest.raises(KeysUnavailable):
            await waiting
        with pytest.raises(KeysUnavailable):
            await keys.find("new", "EdDSA")
        assert await keys.find("old", "EdDSA")
        server.behaviour = "good"
        left = {task for task in asyncio.all_tasks() - before if "JwksServer" not in repr(task)}
        assert not left


async def test_without_a_start_every_key_is_unavailable() -> None:
    with pytest.raises(KeysUnavailable):
        await Jwks("http://127.0.0.1:1/").find("old", "EdDSA")
