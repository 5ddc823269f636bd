"""The share of the connections that slow statements may take."""

import asyncio
from contextlib import suppress

import pytest

from app.domain.errors import TooManySearches
from app.domain.identity import UserId
from app.infra.postgres.slow_share import WAITING_PER_RUNNING, SlowShare
from app.infra.postgres.used_time import UsedTime
from tests.support.factories import someone

ANN, BOB = someone("ann"), someone("bob")


class Statement:
    """A slow statement of a person, which runs until `end`."""

    def __init__(self, share: SlowShare, person: UserId, *, running: int = 0, seconds: float = 60) -> None:
        self.runs = False
        self._end = asyncio.Event()
        until = asyncio.get_running_loop().time() + seconds
        self.task = asyncio.create_task(self._run(share, person, running, until))

    async def _run(self, share: SlowShare, person: UserId, running: int, until: float) -> None:
        async with share.turn(person, running=running, until=until):
            self.runs = True
            await self._end.wait()

    async def end(self) -> None:
        self._end.set()
        await self.task
        await settle()


async def settle() -> None:
    """Let every task do what it can do now."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_as_many_statements_run_as_the_share_allows_and_the_next_one_runs_when_one_ends() -> None:
    share = SlowShare(2, UsedTime())
    statements = [Statement(share, someone()) for _ in range(3)]
    await settle()
    before = [each.runs for each in statements]

    await statements[0].end()

    assert before == [True, True, False]
    assert statements[2].runs
    assert len(share) == 0


async def test_after_all_statements_have_ended_as_many_may_run_as_before() -> None:
    share = SlowShare(1, UsedTime())
    for _ in range(3):
        statements = [Statement(share, someone()) for _ in range(3)]
        await settle()
        assert [each.runs for each in statements] == [True, False, False]
        for each in statements:
            await each.end()


async def test_a_first_statement_goes_before_anybodys_second() -> None:
    share = SlowShare(1, UsedTime())
    running = Statement(share, ANN)
    second, first = Statement(share, ANN, running=1), Statement(share, BOB)
    await settle()

    await running.end()

    assert (second.runs, first.runs) == (False, True)
    await first.end()
    await second.end()


async def test_a_person_whose_statements_used_seconds_goes_after_one_whose_statements_used_none() -> None:
    used_time = UsedTime()
    share = SlowShare(1, used_time)
    used_time.add(ANN, 2)
    running = Statement(share, someone())
    slow, quick = Statement(share, ANN), Statement(share, BOB)
    await settle()

    await running.end()

    assert (slow.runs, quick.runs) == (False, True)
    await quick.end()
    assert slow.runs
    await slow.end()


async def test_a_statement_that_waits_past_its_deadline_is_refused_and_leaves_its_place() -> None:
    share = SlowShare(1, UsedTime())
    running, late = Statement(share, ANN), Statement(share, BOB, seconds=0.01)

    with pytest.raises(TooManySearches):
        await late.task

    assert len(share) == 0
    await running.end()
    after = Statement(share, BOB)
    await settle()
    assert after.runs
    await after.end()


async def test_a_statement_waits_longer_than_a_request_waits_for_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.infra.postgres.wait_queue.PATIENCE", 0.01)
    share = SlowShare(1, UsedTime())
    running, waiting = Statement(share, ANN), Statement(share, BOB)
    await asyncio.sleep(0.05)

    await running.end()

    assert waiting.runs
    await waiting.end()


async def test_given_a_full_queue_then_a_newcomer_without_a_shorter_delay_is_refused() -> None:
    share = SlowShare(1, UsedTime())
    running = Statement(share, ANN)
    waiting = [Statement(share, someone()) for _ in range(WAITING_PER_RUNNING)]
    await settle()

    with pytest.raises(TooManySearches):
        await Statement(share, BOB).task

    await running.end()
    for each in waiting:
        await each.end()


async def test_a_caller_who_gives_up_at_the_moment_of_its_turn_passes_the_turn_on() -> None:
    share = SlowShare(1, UsedTime())
    async with share.turn(ANN, running=0, until=asyncio.get_running_loop().time() + 60):
        gone, waiting = (Statement(share, someone()) for _ in range(2))
        await settle()
    gone.task.cancel()

    with suppress(asyncio.CancelledError):
        await gone.task
    await settle()

    assert (gone.runs, waiting.runs) == (False, True)
    await waiting.end()
