"""A client that keeps a copy of a person's tasks up to date with the change feed."""

import json
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Self

from app.domain.changes import ChangesPage, ChangesToken
from app.domain.task_repository import TaskRepository

Json = dict[str, Any]


@dataclass
class Follower:
    """The copy of one client: tasks by their id, and the token with which it continues."""

    token: Any = None  # None: read every task from the start
    copy: dict[str, Json] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)  # the ids of all changes, in order

    def apply(self, page: Json) -> bool:
        """Apply a page of changes. Return whether there are more pages."""
        for change in page["changes"]:
            self.received.append(change["id"])
            if change["task"] is None:
                self.copy.pop(change["id"], None)
            else:
                assert change["task"]["id"] == change["id"]
                self.copy[change["id"]] = change["task"]
        self.token = page["next"]
        return bool(page["more"])

    def begin_again(self) -> None:
        """Forget the copy and the token, as a client does after 410."""
        self.token, self.copy = None, {}

    def clone(self) -> Self:
        """Return a second client with the same copy and token."""
        return deepcopy(self)


def page_json(page: ChangesPage) -> Json:
    """Return a page as clients see it, except that `next` stays a `ChangesToken`."""
    return {"changes": json.loads(page.changes), "next": page.next, "more": page.more}


async def read_page(tasks: TaskRepository, follower: Follower, *, limit: int = 200) -> bool:
    """Let a client read one page. Return whether there are more pages."""
    since: ChangesToken | None = follower.token
    page = page_json(await tasks.changes(since, limit=limit))
    assert len(page["changes"]) <= limit
    return follower.apply(page)


async def catch_up(read: Callable[[], Awaitable[bool]]) -> None:
    """Call `read`, which reads one page, until it returns that there are no more pages."""
    while await read():
        pass
