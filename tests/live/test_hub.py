"""Event streams are woken by each announcement for their owner, from this process and from others.

The hub also remembers a person's head: the token after the person's last change.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from app.domain.changes import ChangesToken
from app.domain.errors import TooBusy, TooManyStreams
from app.domain.identity import UserId
from app.live import hub as hub_module
from app.live.change_marks import ChangeMarks, digest_of
from app.live.hub import ENDING_MAX, PERSON_MAX, PROCESS_MAX, READS_AT_ONCE, Hub, Stream
from tests.support.factories import someone

ANN, BOB = someone("ann"), someone("bob")
TOKEN = ChangesToken.after_revision(7)


@pytest.fixture
def marks() -> ChangeMarks:
    """The shared memory through which the hubs of processes announce changes to each other."""
    return ChangeMarks(is_shared=True)


@pytest.fixture
async def hub(marks: ChangeMarks) -> AsyncIterator[Hub]:
    """The hub of one process. `Hub(marks)` in a test is that of another process."""
    hub = Hub(marks)
    yield hub
    hub.close()


async def until_changed(stream: Stream) -> None:
    async with asyncio.timeout(20):
        while not stream.changed:
            await stream.wait(20)


async def test_an_announcement_wakes_every_stream_of_the_owner_and_no_other(hub: Hub) -> None:
    with hub.open(ANN) as one, hub.open(ANN) as two, hub.open(BOB) as other:
        hub.announce(ANN)

        assert (one.changed, two.changed, other.changed) == (True, True, False)


async def test_a_stream_that_begins_to_wait_after_an_announcement_is_woken_at_once(hub: Hub) -> None:
    with hub.open(ANN) as stream:
        hub.announce(ANN)
        async with asyncio.timeout(5):
            await stream.wait(60)

        assert stream.changed


async def test_an_announcement_in_another_process_wakes_the_streams_of_this_one(
    hub: Hub, marks: ChangeMarks
) -> None:
    with hub.open(ANN) as stream, hub.open(BOB) as other:
        Hub(marks).announce(ANN)
        await until_changed(stream)

        assert not other.changed


async def test_an_announcement_before_the_stream_opens_does_not_wake_it(hub: Hub, marks: ChangeMarks) -> None:
    marks.mark(digest_of(ANN))
    with hub.open(ANN) as stream:
        hub.hear([])

        assert not stream.changed


async def test_given_announcements_may_be_missing_then_every_stream_rereads_within_two_seconds(
    hub: Hub, marks: ChangeMarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays_asked: list[tuple[float, float]] = []

    def short_delay(*bounds: float) -> float:
        delays_asked.append((bounds[0], bounds[1]))
        return 0.01 * len(delays_asked)

    monkeypatch.setattr(hub_module, "uniform", short_delay)
    with hub.open(ANN) as one, hub.open(ANN) as two, hub.open(BOB) as three:
        Hub(marks).hear_of_everyone()
        for stream in (one, two, three):
            await until_changed(stream)

    assert delays_asked == [(0, 2.0)] * 3


async def test_a_person_has_at_most_eight_open_streams(hub: Hub) -> None:
    with ExitStack() as stack:
        for _ in range(PERSON_MAX - 1):
            stack.enter_context(hub.open(ANN))
        with hub.open(ANN), pytest.raises(TooManyStreams):
            stack.enter_context(hub.open(ANN))
        with hub.open(ANN), hub.open(BOB):
            assert len(hub) == PERSON_MAX + 1
    assert len(hub) == 0


async def test_a_process_has_at_most_500_streams_and_opens_none_while_it_stops(hub: Hub) -> None:
    with ExitStack() as stack:
        for _ in range(PROCESS_MAX):
            stack.enter_context(hub.open(someone()))
        with pytest.raises(TooBusy):
            stack.enter_context(hub.open(ANN))
    hub.leave()
    with pytest.raises(TooBusy), hub.open(ANN):
        pass


def fill(hub: Hub, stack: ExitStack, *first: UserId) -> list[Stream]:
    """Open a stream for each of `first`, and then for other people, until the process is full.

    Return the streams of `first`.
    """
    streams = [stack.enter_context(hub.open(owner)) for owner in first]
    while len(hub) < PROCESS_MAX:
        stack.enter_context(hub.open(someone()))
    return streams


async def test_in_a_full_process_a_first_stream_ends_the_youngest_stream_of_the_person_with_the_most(
    hub: Hub,
) -> None:
    with ExitStack() as stack:
        streams = fill(hub, stack, ANN, BOB, ANN, BOB, ANN)

        new = stack.enter_context(hub.open(someone()))

        assert [stream.crowded_out for stream in streams] == [False] * 4 + [True]
        assert not new.crowded_out
        assert len(hub) == PROCESS_MAX
        async with asyncio.timeout(5):
            await streams[-1].wait(60)  # returns at once, since the stream was woken
    assert len(hub) == 0


async def test_in_a_full_process_a_stream_ends_for_a_person_with_two_fewer_streams_but_not_with_one_fewer(
    hub: Hub,
) -> None:
    with ExitStack() as stack:
        cid = someone("cid")
        streams = fill(hub, stack, ANN, ANN, ANN, BOB, BOB, cid)

        with pytest.raises(TooBusy):
            stack.enter_context(hub.open(BOB))
        assert not any(stream.crowded_out for stream in streams)
        stack.enter_context(hub.open(cid))

        assert [stream.crowded_out for stream in streams] == [False, False, True, False, False, False]


async def test_a_person_who_lost_a_stream_does_not_end_the_stream_of_another_person(hub: Hub) -> None:
    with ExitStack() as stack:
        everybody = [someone() for _ in range(PROCESS_MAX // PERSON_MAX)]
        streams = fill(hub, stack, *(owner for owner in everybody for _ in range(PERSON_MAX)))
        for _ in range(20):
            stack.enter_context(hub.open(someone()))
        ended = [stream.crowded_out for stream in streams]
        losers = {
            owner
            for number, owner in enumerate(everybody)
            if any(ended[number * PERSON_MAX : (number + 1) * PERSON_MAX])
        }

        for owner in losers:
            with pytest.raises(TooBusy):
                stack.enter_context(hub.open(owner))
        assert (len(losers), sum(ended)) == (20, 20)
    assert len(hub) == 0


async def test_given_as_many_ending_streams_as_allowed_then_no_other_stream_is_ended(hub: Hub) -> None:
    with ExitStack() as stack:
        everybody = [someone() for _ in range(PROCESS_MAX // PERSON_MAX)]
        with ExitStack() as theirs:
            streams = fill(hub, theirs, *(owner for owner in everybody for _ in range(PERSON_MAX)))
            for _ in range(ENDING_MAX):
                stack.enter_context(hub.open(someone()))

            with pytest.raises(TooBusy):
                stack.enter_context(hub.open(ANN))
            assert sum(stream.crowded_out for stream in streams) == ENDING_MAX
        fill(hub, stack, ANN, ANN)
        stack.enter_context(hub.open(BOB))  # the ending streams are closed now


async def test_a_stream_that_was_crowded_out_cannot_read_when_its_person_has_no_other_stream(
    hub: Hub,
) -> None:
    with ExitStack() as others:
        older, younger = hub.open(ANN), hub.open(ANN)
        older.__enter__()
        crowded_out = younger.__enter__()
        fill(hub, others)
        others.enter_context(hub.open(BOB))
        older.__exit__(None, None, None)

        with pytest.raises(TooBusy):
            await hub.read_turn(ANN).__aenter__()
        younger.__exit__(None, None, None)
        assert crowded_out.crowded_out
    assert len(hub) == 0


async def test_a_head_is_remembered_until_the_next_announcement(hub: Hub, marks: ChangeMarks) -> None:
    hub.remember(ANN, TOKEN, hub.mark_of(ANN))
    assert hub.head_of(ANN) == TOKEN
    assert hub.head_of(BOB) is None

    Hub(marks).announce(ANN)  # in another process

    assert hub.head_of(ANN) is None


async def test_a_head_read_while_a_change_was_announced_is_not_remembered(hub: Hub) -> None:
    mark = hub.mark_of(ANN)
    hub.announce(ANN)
    hub.remember(ANN, TOKEN, mark)

    assert hub.head_of(ANN) is None


async def test_an_announcement_for_all_owners_forgets_every_head(hub: Hub, marks: ChangeMarks) -> None:
    hub.remember(ANN, TOKEN, hub.mark_of(ANN))

    Hub(marks).hear_of_everyone()

    assert hub.head_of(ANN) is None


async def test_every_head_is_forgotten_when_the_store_is_lost_and_none_is_remembered_meanwhile(
    hub: Hub,
) -> None:
    hub.use_store(lambda _: None)
    hub.set_store_connected(True)
    hub.remember(ANN, TOKEN, hub.mark_of(ANN))
    assert hub.head_of(ANN) == TOKEN

    hub.set_store_connected(False)
    assert hub.head_of(ANN) is None
    hub.remember(ANN, TOKEN, hub.mark_of(ANN))
    hub.set_store_connected(True)

    assert hub.head_of(ANN) is None


async def test_a_head_is_forgotten_after_six_hours(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(hub_module, "monotonic", lambda: now)
    hub.remember(ANN, TOKEN, hub.mark_of(ANN))

    now += 6 * 60 * 60
    remembered = hub.head_of(ANN)
    now += 1

    assert remembered == TOKEN
    assert hub.head_of(ANN) is None


async def test_with_other_machines_and_no_store_no_head_is_remembered(marks: ChangeMarks) -> None:
    hub = Hub(marks, remembers=False)

    hub.remember(ANN, TOKEN, hub.mark_of(ANN))

    assert hub.head_of(ANN) is None


async def test_the_reach_of_a_hub_says_how_far_announcements_travel(hub: Hub) -> None:
    assert Hub(ChangeMarks(is_shared=False)).reach == "process"
    assert hub.reach == "machine"
    hub.use_store(lambda _: None)
    assert (hub.reach, hub.live) == ("store", False)
    hub.set_store_connected(True)
    assert hub.live


async def test_the_streams_of_one_person_read_one_at_a_time_and_do_not_delay_those_of_others(
    hub: Hub,
) -> None:
    entered = list[str]()

    async def read(owner: UserId) -> None:
        async with hub.read_turn(owner):
            entered.append(owner)
            await asyncio.sleep(60)

    with hub.open(ANN), hub.open(BOB):
        reads = [asyncio.create_task(read(owner)) for owner in [ANN] * READS_AT_ONCE + [BOB]]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for each in reads:
            each.cancel()
        await asyncio.gather(*reads, return_exceptions=True)

    assert entered == [ANN, BOB]


async def test_given_a_read_of_a_person_that_does_not_end_then_their_next_read_gets_too_busy(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "READ_PATIENCE", 0.01)
    with hub.open(ANN):
        async with hub.read_turn(ANN):
            with pytest.raises(TooBusy):
                await hub.read_turn(ANN).__aenter__()
        async with hub.read_turn(ANN):
            pass
