"""The open event streams of a process, and what wakes them.

A stream holds no events: it has a flag "there may be changes", and reads the change feed when the flag is up.
So an unnecessary wake-up costs a read and loses nothing. After each write `announce` wakes the owner's
streams of this process, marks the change for the other workers, and passes it on to other machines.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from random import uniform
from time import monotonic
from typing import Final, Literal

from app.domain.changes import ChangesToken
from app.domain.errors import TooBusy, TooManyStreams
from app.domain.identity import UserId
from app.live.change_marks import ChangeMarks, digest_of

PERSON_MAX: Final = 8  # open streams of one person
PROCESS_MAX: Final = 500  # open streams of a process
ENDING_MAX: Final = 100  # streams that end to make room, in addition to PROCESS_MAX
READS_AT_ONCE: Final = 4  # reads of the feed for all streams of a process
READ_PATIENCE: Final = 5.0  # seconds that a stream waits for the reads of others
TICK: Final = 0.05  # seconds between two checks of the marks, while streams are open
SPREAD: Final = 2.0  # seconds over which the reads of all streams are spread, if any owner may have changes
HEADS_MAX: Final = 10_000  # ends of feeds that are remembered, one for each owner
HEAD_LIFETIME: Final = 6 * 3600.0  # seconds

Reach = Literal["process", "machine", "store"]
"""The widest area whose changes wake a stream at once."""


class Stream:
    """One open stream."""

    __slots__ = ("_event", "changed", "changed_at", "crowded_out", "gone")

    def __init__(self) -> None:
        self.changed = False  # there may be changes that it has not read
        self.changed_at = 0.0  # on the monotonic clock
        self.gone = False  # the client has disconnected
        self.crowded_out = False  # it ends, because another person needs its place
        self._event = asyncio.Event()

    def mark_changed(self) -> None:
        """Note that there may be changes, and wake the stream, which then reads the feed."""
        if not self.changed:
            self.changed = True
            self.changed_at = monotonic()
            self._event.set()

    def disconnect(self) -> None:
        """Note that the client has disconnected."""
        self.gone = True
        self._event.set()

    def crowd_out(self) -> None:
        """Note that another person needs the place of this stream."""
        self.crowded_out = True
        self._event.set()

    def wake(self) -> None:
        """Wake the stream, so that it checks the state of the hub."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Wait until the stream is woken, or for some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


@dataclass(frozen=True, slots=True)
class Mark:
    """The state of an owner's announcements at one moment. Between equal marks nothing was announced."""

    own: int  # the number in the owner's slot of the shared table
    everyone: int  # the number in the slot of all owners
    losses: int  # how often the connection to the store was lost


@dataclass(frozen=True, slots=True)
class Head:
    """Where an owner's feed ended when it was read last."""

    mark: Mark
    remembered_at: float  # on the monotonic clock
    token: ChangesToken


class Hub:
    """The streams of a process.

    `remembers`: whether every change is announced here. Then a feed whose end is known needs no read.
    """

    def __init__(self, marks: ChangeMarks, *, remembers: bool = True) -> None:
        self.marks = marks
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._own_reads: dict[UserId, asyncio.Lock] = {}  # of owners with streams
        self.leaving = False
        self.store_connected: bool | None = None  # None: no store
        self._publish: Callable[[bytes], None] | None = None
        self._remembers = remembers
        self._streams: dict[UserId, dict[Stream, None]] = {}  # each person's in the order of arrival
        self._count = 0  # streams in `_streams`
        self._ending = 0  # streams that were crowded out, and have not ended yet
        self._seen: dict[UserId, tuple[bytes, int]] = {}  # of owners with streams: hash, number in the slot
        self._seen_everyone = marks.of_everyone
        self._timer: asyncio.TimerHandle | None = None
        self._losses = 0
        self._heads: OrderedDict[UserId, Head] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of open streams, without those that end to make room."""
        return self._count

    @property
    def reach(self) -> Reach:
        """The widest area whose changes wake the streams at once."""
        if self.store_connected is not None:
            return "store"
        return "machine" if self.marks.is_shared else "process"

    @property
    def live(self) -> bool:
        """Whether changes wake the streams as far as `reach` says."""
        return self.store_connected is not False

    def announce(self, owner: UserId) -> None:
        """Announce that an owner's tasks may have changed. Called after each write."""
        digest = digest_of(owner)
        self.marks.mark(digest)
        if self._publish is not None:
            self._publish(digest)
        if owner in self._streams:
            self._seen[owner] = digest, self.marks.of(digest)
            for stream in self._streams[owner]:
                stream.mark_changed()

    @contextmanager
    def open(self, owner: UserId) -> Iterator[Stream]:
        """Open a stream for the block.

        Raises:
            TooManyStreams: the person has PERSON_MAX streams.
            TooBusy: the process is stopping, or has PROCESS_MAX streams and `_make_room` found none to end.
        """
        streams = self._streams.get(owner, {})
        if len(streams) >= PERSON_MAX:
            raise TooManyStreams
        if self.leaving:
            raise TooBusy
        if self._count >= PROCESS_MAX:
            self._make_room(len(streams))
        if not streams:
            digest = digest_of(owner)
            self._seen[owner] = digest, self.marks.of(digest)
            self._streams[owner] = streams
            self._own_reads[owner] = asyncio.Lock()
        stream = Stream()
        streams[stream] = None
        self._count += 1
        if self._timer is None:
            self._seen_everyone = self.marks.of_everyone
            self._tick()
        try:
            yield stream
        finally:
            if stream.crowded_out:
                self._ending -= 1
            else:
                self._count -= 1
                del streams[stream]
                if not streams:
                    del self._streams[owner], self._seen[owner], self._own_reads[owner]

    def _make_room(self, own: int) -> None:
        """End the youngest stream of the person with the most, for a newcomer with `own` open streams.

        Raise TooBusy if nobody has `own + 2`, or if too many streams still end. Afterwards the person has at
        least as many as the newcomer, so the client of the ended stream takes no place when it reconnects.
        """
        most = max(self._streams.values(), key=len)
        if len(most) < own + 2 or self._ending >= ENDING_MAX:
            raise TooBusy
        youngest, _ = most.popitem()
        self._count -= 1
        self._ending += 1
        youngest.crowd_out()

    @asynccontextmanager
    async def read_turn(self, owner: UserId) -> AsyncIterator[None]:
        """Wait until a stream of a person may read the feed: one of theirs at a time, and few of all people.

        Raise TooBusy if the reads of other streams took too long, or if the stream was crowded out and its
        person has no other.
        """
        own_reads = self._own_reads.get(owner)
        if own_reads is None:
            raise TooBusy
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(READ_PATIENCE):
                    await stack.enter_async_context(own_reads)
                    await stack.enter_async_context(self._reads)
            except TimeoutError:
                raise TooBusy from None
            yield

    def mark_of(self, owner: UserId) -> Mark:
        """Return the mark of an owner. Call it before a read of the feed."""
        return Mark(self.marks.of(digest_of(owner)), self.marks.of_everyone, self._losses)

    def remember(self, owner: UserId, token: ChangesToken, mark: Mark) -> None:
        """Remember where an owner's feed ended when it was read after a mark."""
        if not self._remembers or not self.live:
            return
        self._heads[owner] = Head(mark, monotonic(), token)
        self._heads.move_to_end(owner)
        if len(self._heads) > HEADS_MAX:
            self._heads.popitem(last=False)

    def head_of(self, owner: UserId) -> ChangesToken | None:
        """Return where an owner's feed ends; None if the database must be read to know that."""
        head = self._heads.get(owner)
        if head is None:
            return None
        if head.mark != self.mark_of(owner) or monotonic() - head.remembered_at > HEAD_LIFETIME:
            del self._heads[owner]
            return None
        return head.token

    def hear(self, digests: list[bytes]) -> None:
        """Take announcements from elsewhere, and wake the streams that they are for."""
        for digest in digests:
            self.marks.mark(digest)
        self._compare()

    def hear_of_everyone(self) -> None:
        """Wake every stream, because announcements may be missing."""
        self.marks.mark_everyone()
        self._compare()

    def use_store(self, publish: Callable[[bytes], None]) -> None:
        """Pass announcements on to a store. It is not connected yet."""
        self._publish = publish
        self.store_connected = False

    def set_store_connected(self, connected: bool) -> None:  # noqa: FBT001 - a state
        """Note whether the store is connected. Announcements made while it was not connected are lost."""
        if connected == self.store_connected:
            return
        self.store_connected = connected
        if connected:
            self.hear_of_everyone()
        else:
            self._losses += 1
        self._wake_all()

    def leave(self) -> None:
        """Let every stream end: the process is stopping."""
        self.leaving = True
        self._wake_all()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _wake_all(self) -> None:
        for stream in chain.from_iterable(self._streams.values()):
            stream.wake()

    def _tick(self) -> None:
        """Compare the marks while there are streams. It costs 0.13 ms for 500 streams of 500 people."""
        self._timer = None
        if self._count:
            self._compare()
            self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _compare(self) -> None:
        """Wake the streams of owners whose numbers have changed since the last comparison."""
        for owner, (digest, seen) in self._seen.items():
            if (number := self.marks.of(digest)) != seen:
                self._seen[owner] = digest, number
                for stream in self._streams[owner]:
                    stream.mark_changed()
        if (everyone := self.marks.of_everyone) != self._seen_everyone:
            self._seen_everyone = everyone
            loop = asyncio.get_running_loop()
            for stream in chain.from_iterable(self._streams.values()):
                loop.call_later(uniform(0, SPREAD), stream.mark_changed)  # noqa: S311 - spreads load
