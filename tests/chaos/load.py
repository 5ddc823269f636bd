"""Several people who send requests, each to their own list. Every request is timed, and noted in a ledger."""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final
from uuid import uuid4

from tests.chaos.answers import Answer
from tests.chaos.client import Client
from tests.chaos.ledger import Findings, Ledger

PACE: Final = 0.03  # seconds between the requests of one person
KINDS: Final = {"create": 25, "read": 25, "list": 20, "toggle": 25, "delete": 5}  # how often, in a hundred


class Person:
    """Sends one request after the other."""

    def __init__(self, owner: str, token: str, client: Client, seed: int) -> None:
        self.ledger = Ledger(owner)
        self.token = token
        self.client = client
        self.answers: list[Answer] = []
        self._chance = random.Random(seed)

    async def do_something(self) -> None:
        """Send one request of a random kind."""
        kind = self._chance.choices(list(KINDS), list(KINDS.values()))[0]
        if kind == "list":
            await self.read_list()
            return
        if kind == "create" or not self.ledger.open:
            await self.create()
            return
        task_id = self._chance.choice(list(self.ledger.open))
        match kind:
            case "read":
                self.ledger.note_read(task_id, *await self._ask("read", "GET", f"/{task_id}"))
            case "toggle":
                self.ledger.note_toggle(task_id, *await self._ask("toggle", "PATCH", f"/{task_id}/complete"))
            case _:
                status, _ = await self._ask("delete", "DELETE", f"/{task_id}")
                self.ledger.note_deletion(task_id, status)

    async def create(self) -> None:
        """Create a task with a title that no other task has."""
        title = f"{self.ledger.owner} {uuid4().hex}"
        self.ledger.note_creation(title, *await self._ask("create", "POST", "", {"title": title}))

    async def read_list(self) -> None:
        """Read the first page of the list."""
        status, tasks = await self._ask("list", "GET", "")
        if status == "200":
            self.ledger.note_list(tasks)

    async def all_tasks(self, query: str) -> list[Any]:
        """Return the tasks of all pages of a list."""
        path, found = f"/api/me/tasks?{query}", []
        while path:
            status, headers, tasks = await self.client.ask("GET", path, self.token)
            if status != "200":
                raise OSError(f"the ledger cannot be read: {path} is answered {status}")
            found += tasks
            path = headers.get("link", "").partition(";")[0].strip("<>")
        return found

    async def audit(self) -> Findings:
        """Compare the ledger with the list and the trash."""
        return self.ledger.audit(
            await self.all_tasks("limit=100"), await self.all_tasks("limit=100&trashed=true")
        )

    async def _ask(self, kind: str, method: str, path: str, body: Any = None) -> tuple[str, Any]:
        began = time.monotonic()
        status, _, body = await self.client.ask(method, f"/api/me/tasks{path}", self.token, body)
        self.answers.append(Answer(began, time.monotonic() - began, kind, status))
        return status, body


class Load:
    """People who send requests until they are stopped."""

    def __init__(self, port: int, tokens: Mapping[str, str], *, pace: float = PACE) -> None:
        self.people = [
            # Three of four keep their connection; the others open a new one for each request.
            Person(owner, token, Client(port, keep=bool(number % 4)), number)
            for number, (owner, token) in enumerate(tokens.items())
        ]
        self._pace = pace
        self._may_send = asyncio.Event()
        self._working: list[asyncio.Task[None]] = []
        self._busy = 0
        self._done = False

    @property
    def answers(self) -> list[Answer]:
        """Every response so far, in the order of the requests."""
        return sorted(
            (each for person in self.people for each in person.answers), key=lambda each: each.sent_at
        )

    @property
    def count(self) -> int:
        """The number of responses."""
        return sum(len(person.answers) for person in self.people)

    async def start(self) -> None:
        """Start all people."""
        self._may_send.set()
        self._working = [asyncio.create_task(self._work(person)) for person in self.people]

    async def pause(self) -> None:
        """Stop sending requests, and wait until none is running."""
        self._may_send.clear()
        while self._busy:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.001)

    async def resume(self) -> None:
        """Send requests again."""
        self._may_send.set()

    async def stop(self) -> None:
        """Let everybody finish their request, and stop."""
        self._done = True
        self._may_send.set()
        await asyncio.gather(*self._working)

    async def audit(self) -> Findings:
        """Compare everybody's ledger with their tasks, and add up the findings."""
        total = Findings()
        for person in self.people:
            found = await person.audit()
            for name in (field.name for field in fields(Findings)):
                setattr(total, name, getattr(total, name) + getattr(found, name))
            person.client.close()
        return total

    async def _work(self, person: Person) -> None:
        while not self._done:
            await self._may_send.wait()
            self._busy += 1
            try:
                await person.do_something()
            finally:
                self._busy -= 1
            await asyncio.sleep(self._pace * random.uniform(0.5, 1.5))
