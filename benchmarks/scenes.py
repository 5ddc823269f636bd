"""The scenes: kinds of requests that people often send."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.api.requests.cursors import write_token
from app.domain.changes import ChangesToken
from app.domain.identity import UserId

FIRST_REVISION: Final = 1  # of each owner in the data set
SAMPLE: Final = 1000  # requests of a scene, drawn by chance; a request may be drawn twice


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    path: str
    token: str
    body: str = ""
    keyed: bool = False  # whether each sending has its own Idempotency-Key


@dataclass(frozen=True, slots=True)
class Owner:
    """A person of the data set."""

    user_id: str
    token: str
    task_ids: tuple[str, ...]

    @property
    def path(self) -> str:
        """The path of the tasks."""
        return f"/api/{self.user_id}/tasks"


TITLE: Final = "Written by the benchmark"
BODY: Final = json.dumps({"title": TITLE, "description": "The fern too, and sparingly"})


def _list(owner: Owner, _: str) -> Request:
    return Request("GET", f"{owner.path}?limit=50", owner.token)


def _read(owner: Owner, task_id: str) -> Request:
    return Request("GET", f"{owner.path}/{task_id}", owner.token)


def _changes(owner: Owner, _: str) -> Request:
    return Request("GET", f"{owner.path}/changes?limit=50", owner.token)


def _changes_none(owner: Owner, _: str) -> Request:
    token = write_token(ChangesToken.after_revision(FIRST_REVISION), UserId(owner.user_id))
    return Request("GET", f"{owner.path}/changes?since={token}", owner.token)


def _create(owner: Owner, _: str) -> Request:
    return Request("POST", owner.path, owner.token, BODY)


def _toggle(owner: Owner, task_id: str) -> Request:
    return Request("PATCH", f"{owner.path}/{task_id}/complete", owner.token)


def _create_keyed(owner: Owner, task_id: str) -> Request:
    return replace(_create(owner, task_id), keyed=True)


def _toggle_keyed(owner: Owner, task_id: str) -> Request:
    return replace(_toggle(owner, task_id), keyed=True)


SCENES: Final[Mapping[str, Callable[[Owner, str], Request]]] = {
    "list": _list,
    "read": _read,
    "changes": _changes,
    "changes-none": _changes_none,
    "create": _create,
    "toggle": _toggle,
    "create-keyed": _create_keyed,
    "toggle-keyed": _toggle_keyed,
}
OURS: Final = {
    "changes": "list",
    "changes-none": "read",
    "create-keyed": "create",
    "toggle-keyed": "toggle",
}
"""Scenes that only Taskward can play, and the scene to compare each with.

The scenes that read changes must be measured before those that write: *changes-none* sends the token of
`FIRST_REVISION`.
"""

TITLES: Final = {
    "list": "list 50",
    "read": "read one",
    "changes": "read 50 changes",
    "changes-none": "read the changes, none new",
    "create": "create",
    "toggle": "toggle",
    "create-keyed": "create, Idempotency-Key",
    "toggle-keyed": "toggle, Idempotency-Key",
}


def requests_of(scene: str, owners: Sequence[Owner], count: int = SAMPLE) -> list[Request]:
    """Return requests of a scene by owners taken at random, the same ones at each call."""
    chance = random.Random(scene)  # noqa: S311 - a fixed seed, no secret
    chosen = [chance.choice(owners) for _ in range(count)]
    return [SCENES[scene](owner, chance.choice(owner.task_ids)) for owner in chosen]
