"""The event stream: server-sent events that follow the change feed of one person.

The stream reads the feed until there is nothing more, waits until the hub wakes it, and reads again. It
verifies the token before each heartbeat and each event but the last. So a token that expires, or whose key
is gone, ends the stream.
docs/decisions/0017-event-streams.md gives the reasons.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from random import randint, uniform
from time import monotonic, perf_counter
from typing import Any, Final

import structlog
from litestar.types import HTTPResponseStartEvent, Receive, Scope, Send

from app.api import schemas
from app.api.backpressure import body_event
from app.api.context import RequestContext
from app.api.middleware.authentication import bearer_token
from app.api.requests import cursors
from app.api.requests.request import EVENT_STREAM, TaskRequest
from app.api.requests.validation import ErrorCollector
from app.api.responses import JsonResponse
from app.domain.changes import CHANGES_MAX, ChangesPage, ChangesToken
from app.domain.errors import (
    ChangesGone,
    KeysUnavailable,
    NotAuthenticated,
    TooBusy,
    TooManyAtOnce,
    Unavailable,
)
from app.event_loop import SMALL_REQUESTS
from app.live.hub import Stream

log = structlog.get_logger()

SINCE: Final = "since"
NOW: Final = "now"
ID_HEADER: Final = "Last-Event-ID"

HEARTBEAT: Final = 15.0  # seconds without an event after which a comment is sent
HEARTBEAT_LINE: Final = b":\n"  # a blank line after the comment would be an event without data in httpx-sse
LIFETIME: Final = 900.0  # seconds after which the client must connect again
DEBOUNCE: Final = 0.05  # seconds from an announcement to the read, so that one read sees several writes
MIN_READ_INTERVAL: Final = 0.25  # seconds between two reads of a stream
SEND_TIMEOUT: Final = 10.0  # seconds in which the client must take an event
PAGE_MAX: Final = 64 * 1024  # bytes of the changes in an event, unless it is a single change
FIRST_CHANGES: Final = 20
"""Changes in the first page after the stream was up to date. A page's bytes decide the next limit."""
PIECE: Final = 16 * 1024  # bytes of an event; granian queues four of them before `send` waits
RETRY: Final = (1_000, 3_000)  # milliseconds that a client waits at least and at most until it connects again
BACKOFF_MIN: Final = 1.0  # seconds until the next read after the database became unavailable
BACKOFF_MAX: Final = 30.0  # seconds; each failed read doubles the backoff up to this
LINE_ENDS: Final = tuple((end.encode(), b"\\u%04x" % ord(end)) for end in "\x85\u2028\u2029")
"""Characters that end a line in Python's `splitlines`, which some clients use, but not in the standard."""


def read_since(request: TaskRequest) -> ChangesToken | None:
    """Return where the events begin: a token of the change feed; None: now.

    A client that connects again sends the id of its last event, often to the same URL as before. So the
    header wins over `since=now`.

    Raises:
        InvalidRequest: query and header are absent, one is not valid, or they have tokens that differ.
    """
    errors = ErrorCollector(request)
    since = errors.read_query(SINCE).get(SINCE)
    texts = [(since, "query")] if since not in (None, NOW) else []
    texts += [(text, "header") for text in request.context.lines(ID_HEADER.lower().encode())]
    names = {"query": f"/{SINCE}", "header": f"/{ID_HEADER}"}
    owner = request.context.user_id
    tokens = {errors.read(names[place], place, cursors.read_token, text, owner) for text, place in texts}
    if since is None and not texts:
        errors.add(
            f"/{SINCE}", "is required: the `next` of the changes that you have read, or `now`", "query"
        )
    errors.raise_any()
    if len(tokens) > 1:
        errors.add(f"/{ID_HEADER}", f"contradicts `{SINCE}`: send one of them", "header")
    return errors.value_or_raise(next(iter(tokens), None))


class EventStream(JsonResponse[str]):
    """The response to a request for events. It registers with the hub before it reads for the first time."""

    cache_control = (b"cache-control", b"no-cache, no-transform")
    fields = (
        (b"content-type", EVENT_STREAM.encode()),
        (b"x-accel-buffering", b"no"),  # nginx passes each event on at once
    )

    def __init__(self, context: RequestContext, since: ChangesToken | None) -> None:
        """Set the position of the client in the feed; None: now."""
        super().__init__(b"", headers=self.fields)
        self._context = context
        self._since = since

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the stream ends. A HEAD request gets the headers.

        Raises:
            TooManyStreams, TooBusy: there is no room for another stream.
            ChangesGone, Unavailable, TooManyAtOnce, TooBusy: the first read failed, and nothing was sent.
        """
        if self._context.method == "HEAD":
            await super().__call__(scope, receive, send)
            return
        with self._context.app.hub.open(self._context.user_id) as stream:
            follower = _Follower(self._context, stream, send)
            await follower.find_position(self._since)
            self._context.stream_began = perf_counter()
            # An open stream is mostly idle, so long work need not pause longer for it (`app.event_loop`).
            SMALL_REQUESTS.count -= 1
            watching = asyncio.create_task(_watch_client(receive, stream))
            try:
                start: HTTPResponseStartEvent = {
                    "type": "http.response.start",
                    "status": self.status,
                    "headers": [self.cache_control, *self.fields],
                }
                await send(start)
                await follower.follow()
            finally:
                watching.cancel()
                SMALL_REQUESTS.count += 1


async def _watch_client(receive: Receive, stream: Stream) -> None:
    """End the stream when the client disconnects. granian reports that only here: `send` does not fail.

    The body of a GET has no meaning (RFC 9110 §9.3.1). If it does not arrive in a single message, the stream
    ends, because the body might never end.
    """
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect" or message.get("more_body"):
            stream.disconnect()
            return


class _StreamEnds(Exception):
    """The stream ends. The message is the reason, which the client gets."""


class _ClientTooSlow(Exception):
    """The client did not take an event in time. So it gets no last event, which it would not take either."""


class _Follower:
    """Follows the feed for one stream.

    A page is freed before its event is sent: slow clients would keep many pages in memory.
    """

    def __init__(self, context: RequestContext, stream: Stream, send: Send) -> None:
        self._context = context
        self._app = context.app
        self._hub = context.app.hub
        self._stream = stream
        self._bearer = bearer_token(context.lines(b"authorization"))
        self._asgi_send = send
        self._position = ChangesToken(0)
        self._page: ChangesPage | None = None  # read, and not sent yet
        self._live_sent = True  # the value in the last `live` event; a client that got none assumes true
        self._pause = 0.0  # seconds of backoff
        self._limit = FIRST_CHANGES  # changes of the next page
        now = monotonic()
        self._no_read_before = self._sent_at = now
        self._ends_at = now + uniform(0.8, 1) * LIFETIME  # noqa: S311 - spreads load

    async def find_position(self, since: ChangesToken | None) -> None:
        """Find the client's position in the feed. Read new changes if there may be some.

        `head`: where the owner's feed ends; None: unknown. `mark`: what this process knew of the owner's
        changes before the read.
        """
        head = self._hub.head_of(self._context.user_id)
        if since is None and head is None:
            mark = self._hub.mark_of(self._context.user_id)
            head = ChangesToken.after_revision(await self._context.tasks.revision())
            self._hub.remember(self._context.user_id, head, mark)
        self._position = since or head or ChangesToken(0)
        if self._position != head:
            await self._read()

    async def follow(self) -> None:
        """Send events until the stream ends. If the client still reads, a last event gives the reason."""
        try:
            await self._send(self._encode_event("ready", {"reach": self._hub.reach}, retry=randint(*RETRY)))  # noqa: S311 - spreads load
            await self._send_page()
            while not self._stream.gone:
                await self._do_next()
        except ChangesGone:
            await self._end("resync", {})
        except (NotAuthenticated, KeysUnavailable):
            await self._end("bye", {"reason": "token-expired"})
        except _StreamEnds as end:
            longest = max(RETRY[1], self._app.shutdown_delay * 1000 // 2)  # milliseconds: half the delay
            await self._end("bye", {"reason": str(end)}, retry=randint(RETRY[0], longest))  # noqa: S311 - spreads load
        except _ClientTooSlow:
            log.info("event stream ended: its client does not read")

    async def _do_next(self) -> None:
        """Do one thing that is due, or wait for the next one."""
        now = monotonic()
        heartbeat_at = self._sent_at + HEARTBEAT
        read_at = max(self._stream.changed_at + DEBOUNCE, self._no_read_before)
        if self._hub.leaving:
            raise _StreamEnds("leaving")
        if self._stream.crowded_out:
            raise _StreamEnds("too-busy")
        if now >= self._ends_at:
            raise _StreamEnds("too-long")
        if self._live_sent != self._hub.live:
            self._live_sent = self._hub.live
            await self._send(encode_event("live", {"live": self._live_sent}))
        elif self._stream.changed and now >= read_at:
            await self._read_again()
        elif now >= heartbeat_at:
            await self._verify()
            await self._write(HEARTBEAT_LINE)
        else:
            next_at = min(heartbeat_at, self._ends_at, read_at if self._stream.changed else self._ends_at)
            await self._stream.wait(next_at - now)

    async def _read_again(self) -> None:
        """Read the feed and send what is new. While the database is unavailable, wait ever longer."""
        try:
            await self._read()
        except (Unavailable, TooManyAtOnce, TooBusy):
            self._stream.mark_changed()
            self._pause = min(max(2 * self._pause, BACKOFF_MIN), BACKOFF_MAX)
            self._no_read_before = monotonic() + uniform(0.5, 1) * self._pause  # noqa: S311 - spreads load
        else:
            self._pause = 0.0
            await self._send_page()

    async def _read(self) -> None:
        """Read the next page. If it is too large for an event, read it again with fewer changes."""
        async with self._hub.read_turn(self._context.user_id):
            self._no_read_before = monotonic() + MIN_READ_INTERVAL
            self._stream.changed = False
            mark = self._hub.mark_of(self._context.user_id)
            tasks = self._app.unit_of_work_of_stream(self._context.user_id).tasks
            fits = False
            while not fits:
                page = await tasks.read_changes(self._position, self._limit)
                page = replace(page, changes=_escape_line_ends(page.changes))
                size = len(page.changes)
                fits = size <= PAGE_MAX or self._limit == 1
                self._limit = min(max(self._limit * PAGE_MAX // size, 1), CHANGES_MAX)
        if page.more:
            self._stream.mark_changed()
        else:
            self._limit = FIRST_CHANGES
            self._hub.remember(self._context.user_id, page.next, mark)
        self._page = page

    async def _send_page(self) -> None:
        """Send the page that was read. If it is empty, the wake-up was unnecessary: send nothing."""
        page, self._page = self._page, None
        if page is None or page.next == self._position:
            return
        self._position = page.next
        token = cursors.write_token(page.next, self._context.user_id)
        changes = self._encode_event("changes", schemas.encode_changes(page.changes, token, more=page.more))
        del page
        await self._send(changes)

    def _encode_event(self, name: str, data: "dict[str, Any] | bytes", *, retry: int | None = None) -> bytes:
        """Return an event whose id is the position in the feed."""
        position = cursors.write_token(self._position, self._context.user_id)
        return encode_event(name, data, retry=retry, event_id=position)

    async def _send(self, data: bytes) -> None:
        await self._verify()
        await self._write(data)

    async def _verify(self) -> None:
        """Check that the token is still valid, usually by a look-up in the verifier's cache."""
        await self._app.verifier.verify(self._bearer)

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                for begin in range(0, len(data), PIECE):
                    await self._asgi_send(body_event(data[begin : begin + PIECE]))
        except TimeoutError:
            raise _ClientTooSlow from None
        self._sent_at = monotonic()

    async def _end(self, name: str, data: dict[str, Any], *, retry: int | None = None) -> None:
        """Send the last event and end the response."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._asgi_send(body_event(encode_event(name, data, retry=retry)))
                await self._asgi_send(body_event(b"", more=False))


def encode_event(
    name: str, data: "dict[str, Any] | bytes", *, retry: int | None = None, event_id: str | None = None
) -> bytes:
    """Return an event (WHATWG HTML, server-sent events). A client can connect again with `event_id`."""
    lines = [
        b"" if retry is None else b"retry: %d\n" % retry,
        b"" if event_id is None else b"id: %s\n" % event_id.encode(),
        b"event: %s\ndata: " % name.encode(),
        data if isinstance(data, bytes) else json.dumps(data).encode(),
        b"\n\n",
    ]
    return b"".join(lines)


def _escape_line_ends(json_text: bytes) -> bytes:
    """Escape the characters at which some clients end a line. In JSON they occur only in strings."""
    for end, escape in LINE_ENDS:
        json_text = json_text.replace(end, escape)
    return json_text
