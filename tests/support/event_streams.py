"""A client of event streams, which keeps the events that arrive."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.servers.service import Service

PATIENCE = 20  # seconds, since the machine may be busy


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    name: str
    data: Any
    id: str | None
    retry: int | None  # milliseconds until the client should connect again


@dataclass
class EventReader:
    """Reads a stream, and keeps the events that have arrived."""

    response: httpx.Response
    events: list[Event] = field(default_factory=list)
    heartbeats: int = 0
    ended: bool = False
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        """Read until the stream ends."""
        fields: dict[str, str] = {}
        try:
            async for line in self.response.aiter_lines():
                if line.startswith(":"):
                    self.heartbeats += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    self._add_event(fields)
                    fields = {}
                self._arrived.set()
        except httpx.TransportError:
            pass  # the connection is lost
        finally:
            self.ended = True
            self._arrived.set()

    def _add_event(self, fields: dict[str, str]) -> None:
        retry = fields.get("retry")
        self.events.append(
            Event(
                fields["event"], json.loads(fields["data"]), fields.get("id"), int(retry) if retry else None
            )
        )

    def named(self, name: str) -> list[Event]:
        """Return the events with this name."""
        return [event for event in self.events if event.name == name]

    @property
    def tasks(self) -> dict[str, Any]:
        """The latest state of each task that arrived; None: deleted permanently."""
        pages = [event.data["changes"] for event in self.named("changes")]
        return {change["id"]: change["task"] for page in pages for change in page}

    @property
    def last_id(self) -> str:
        """The id of the last event that had one."""
        return [event.id for event in self.events if event.id is not None][-1]

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until the condition is true. It is checked when lines have arrived."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()

    async def until_event(self, name: str, seconds: float = PATIENCE) -> Event:
        """Wait for the first event with this name, and return it."""
        await self.until(lambda: self.named(name), seconds)
        return self.named(name)[0]

    async def until_title(self, title: str, seconds: float = PATIENCE) -> None:
        """Wait until a task with this title has arrived."""
        await self.until(
            lambda: any(task and task["title"] == title for task in self.tasks.values()), seconds
        )


@asynccontextmanager
async def event_stream(
    client: httpx.AsyncClient,
    url: str,
    headers: dict[str, str],
    since: str | None = "now",
    **more_headers: str,
) -> AsyncIterator[EventReader]:
    """Open the stream of a person's tasks, and read it in the background until the block ends.

    `since` is the parameter of the same name: a change token, or `now`. None: the request has no `since`.
    """
    query = {} if since is None else {"since": since}
    async with client.stream(
        "GET", f"{url}/api/me/tasks/events", params=query, headers={**headers, **more_headers}, timeout=60
    ) as response:
        assert response.status_code == 200, await response.aread()
        reader = EventReader(response)
        reading = asyncio.create_task(reader.read())
        try:
            yield reader
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading


async def create(client: httpx.AsyncClient, service: Service, headers: dict[str, str], title: str) -> None:
    """Create a task."""
    response = await client.post(f"{service.url}/api/me/tasks", headers=headers, json={"title": title})
    assert response.status_code == 201, response.text
